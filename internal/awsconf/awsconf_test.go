package awsconf

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/profile"
)

const canary = "c4n4ry-s3cr3t"

// tokenService answers as AWS' token service does, and remembers what it was asked.
type tokenService struct {
	*httptest.Server
	mu    sync.Mutex
	asked []url.Values
	auth  []string
}

func newTokenService(t *testing.T, start func(http.Handler) *httptest.Server) *tokenService {
	t.Helper()
	s := &tokenService{}
	s.Server = start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		s.asked, s.auth = append(s.asked, r.PostForm), append(s.auth, r.Header.Get("Authorization"))
		s.mu.Unlock()
		action := r.PostForm.Get("Action")
		_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><%[1]sResult><Credentials>
<AccessKeyId>assumed-id</AccessKeyId><SecretAccessKey>assumed-secret</SecretAccessKey><SessionToken>assumed-token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></%[1]sResult></%[1]sResponse>`, action)
	}))
	t.Cleanup(s.Close)
	return s
}

func secretCredential(kind string, values map[string]string) profile.Credential {
	data := map[string][]byte{}
	for key, value := range values {
		data[key] = []byte(value)
	}
	return profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{
		ObjectMeta: profile.ObjectMeta{Namespace: "app", Name: "s3"}, Type: kind, Data: data,
	}}
}

func TestKeys(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-west-9") // the environment means nothing beside keys
	t.Setenv("AWS_ACCESS_KEY_ID", "around")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "around")
	pair := profile.Credential{Type: profile.CredentialKeyPair, KeyPair: &profile.KeyPair{ID: "id", Secret: canary}}
	cfg, err := Load(t.Context(), Options{Credential: pair})
	require.NoError(t, err)
	assert.Equal(t, DefaultRegion, cfg.Region)
	got, err := cfg.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	assert.Equal(t, [3]string{"id", canary, ""}, [3]string{got.AccessKeyID, got.SecretAccessKey, got.SessionToken})

	cfg, err = Load(t.Context(), Options{Region: "eu-central-1", Credential: secretCredential(profile.SecretAWS, map[string]string{
		profile.AWSAccessKeyID: "id\n", profile.AWSSecretAccessKey: canary + "\n", profile.AWSSessionToken: "token\n",
	})})
	require.NoError(t, err)
	assert.Equal(t, "eu-central-1", cfg.Region)
	got, err = cfg.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	assert.Equal(t, [3]string{"id", canary, "token"}, [3]string{got.AccessKeyID, got.SecretAccessKey, got.SessionToken},
		"a line break at the end of a value is a common slip")
}

func TestRole(t *testing.T) {
	service := newTokenService(t, httptest.NewTLSServer)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: service.Certificate().Raw})
	credential := secretCredential(profile.SecretAWS, map[string]string{
		profile.AWSAccessKeyID: "base-id", profile.AWSSecretAccessKey: canary, profile.AWSRole: "arn:aws:iam::1:role/backup",
	})
	for name, o := range map[string]Options{
		"of another store":          {Endpoint: service.URL, CA: ca},
		"of a token service":        {Endpoint: "https://s3.eu-west-1.amazonaws.com", STSEndpoint: service.URL, CA: ca},
		"with certificates ignored": {Endpoint: service.URL, SkipTLSVerify: true},
	} {
		o.Credential = credential
		cfg, err := Load(t.Context(), o)
		require.NoError(t, err, name)
		got, err := cfg.Credentials.Retrieve(t.Context())
		require.NoError(t, err, name)
		assert.Equal(t, "assumed-token", got.SessionToken, name)
	}
	require.Len(t, service.asked, 3)
	assert.Equal(t, "arn:aws:iam::1:role/backup", service.asked[0].Get("RoleArn"))
	assert.Equal(t, "salvor", service.asked[0].Get("RoleSessionName"))
	assert.Contains(t, service.auth[0], "Credential=base-id/")

	cfg, err := Load(t.Context(), Options{Credential: credential, Endpoint: service.URL})
	require.NoError(t, err)
	_, err = cfg.Credentials.Retrieve(t.Context())
	require.ErrorContains(t, err, "certificate", "without the authority")
	assert.NotContains(t, err.Error(), canary)
}

// A service account with a role of AWS (IRSA), as EKS' webhook sets a pod up; then
// the same with a role per profile on top.
func TestWebIdentity(t *testing.T) {
	service := newTokenService(t, httptest.NewServer)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("jwt-of-the-pod"), 0o600))
	noIdentity(t)
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", token)
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/of-the-pod")
	t.Setenv("AWS_REGION", "eu-north-1")
	t.Setenv("AWS_ENDPOINT_URL_STS", service.URL)

	cfg, err := Load(t.Context(), Options{})
	require.NoError(t, err)
	assert.Equal(t, "eu-north-1", cfg.Region)
	got, err := cfg.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "assumed-id", got.AccessKeyID)
	require.Len(t, service.asked, 1)
	assert.Equal(t, "AssumeRoleWithWebIdentity", service.asked[0].Get("Action"))
	assert.Equal(t, "jwt-of-the-pod", service.asked[0].Get("WebIdentityToken"))
	assert.Equal(t, "arn:aws:iam::1:role/of-the-pod", service.asked[0].Get("RoleArn"))

	cfg, err = Load(t.Context(), Options{
		Region: "us-west-2", STSEndpoint: service.URL,
		Credential: secretCredential(profile.SecretAWS, map[string]string{profile.AWSRole: "arn:aws:iam::2:role/of-the-profile"}),
	})
	require.NoError(t, err)
	assert.Equal(t, "us-west-2", cfg.Region)
	_, err = cfg.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	require.Len(t, service.asked, 3)
	assert.Equal(t, "arn:aws:iam::2:role/of-the-profile", service.asked[2].Get("RoleArn"))
	assert.Contains(t, service.auth[2], "Credential=assumed-id/")
}

// EKS pod identity: the agent on the node gives keys for the pod's token.
func TestPodIdentity(t *testing.T) {
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "jwt-of-the-pod" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprint(w, `{"AccessKeyId":"agent-id","SecretAccessKey":"s","Token":"agent-token","Expiration":"2099-01-01T00:00:00Z"}`)
	}))
	t.Cleanup(agent.Close)
	token := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(token, []byte("jwt-of-the-pod"), 0o600))
	noIdentity(t)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.URL+"/v1/credentials")
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token)
	cfg, err := Load(t.Context(), Options{})
	require.NoError(t, err)
	got, err := cfg.Credentials.Retrieve(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "agent-token", got.SessionToken)
	assert.Equal(t, DefaultRegion, cfg.Region)
}

// noIdentity hides what the machine of the test may have.
func noIdentity(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE",
		"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	} {
		t.Setenv(name, "")
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestNoIdentityAtAll(t *testing.T) {
	noIdentity(t)
	cfg, err := Load(t.Context(), Options{})
	require.NoError(t, err)
	_, err = cfg.Credentials.Retrieve(t.Context())
	require.Error(t, err)
}

func TestErrorsSayWhatToFix(t *testing.T) {
	for name, tc := range map[string]struct {
		o    Options
		want string
	}{
		"half a pair":   {Options{Credential: profile.Credential{Type: profile.CredentialKeyPair, KeyPair: &profile.KeyPair{Secret: canary}}}, "needs an access key"},
		"azure":         {Options{Credential: secretCredential(profile.SecretAzure, map[string]string{"k": canary})}, profile.SecretAWS},
		"one key":       {Options{Credential: secretCredential(profile.SecretAWS, map[string]string{profile.AWSSecretAccessKey: canary, profile.AWSRole: "r"})}, profile.AWSAccessKeyID},
		"no secret":     {Options{Credential: profile.Credential{Type: profile.CredentialSecret}}, "does not open AWS"},
		"kopia":         {Options{Credential: profile.Credential{Type: profile.CredentialKopia}}, "does not open AWS"},
		"bundle of DER": {Options{CA: []byte(canary)}, "must be PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(t.Context(), tc.o)
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), canary)
		})
	}
}
