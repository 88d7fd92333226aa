package location_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/azuretest"
	"github.com/salvor-io/salvor/internal/fixture/gcstest"
	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/internal/location"
	"github.com/salvor-io/salvor/internal/profile"
)

// roundTripAs pushes and pulls as kando in a task pod does.
func roundTripAs(t *testing.T, p *profile.Profile) {
	t.Helper()
	l, err := location.Open(t.Context(), p, location.OwnPod())
	require.NoError(t, err)
	_, err = l.Push(t.Context(), "a", strings.NewReader("by identity"))
	require.NoError(t, err)
	var got strings.Builder
	_, err = l.Pull(t.Context(), "a", &got)
	require.NoError(t, err)
	assert.Equal(t, "by identity", got.String())
	require.NoError(t, l.Close())
}

func tokenFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(name, []byte("jwt-of-the-pod"), 0o600))
	return name
}

// IRSA: the pod's token buys keys at AWS' token service, and the store takes them.
func TestS3WithTheIdentityOfThePod(t *testing.T) {
	server := s3test.Start(t)
	server.CreateBucket(t, "backups")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("WebIdentityToken") != "jwt-of-the-pod" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken></SessionToken><Expiration>2199-01-01T00:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, server.AccessKey, server.SecretKey)
	}))
	t.Cleanup(service.Close)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", tokenFile(t))
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod")
	t.Setenv("AWS_ENDPOINT_URL_STS", service.URL)
	p := server.Profile("backups", "")
	p.Credential = profile.Credential{}
	roundTripAs(t, p)
}

// Azure workload identity: the pod's token buys one of Entra's, and Azurite, which
// checks its audience and issuer, takes it. Both over TLS, as the SDK insists.
func TestAzureWithTheIdentityOfThePod(t *testing.T) {
	var asked atomic.Value
	entra := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		base := "https://" + r.Host + "/tenant-1"
		if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q}`, base+"/v2.0", base+"/authorize", base+"/oauth2/v2.0/token")
			return
		}
		assert.NoError(t, r.ParseForm())
		asked.Store(r.Form.Get("client_assertion") + " " + r.Form.Get("client_id"))
		_, _ = fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"access_token":%q}`, entraToken(t))
	}))
	t.Cleanup(entra.Close)
	server, ca := azuretest.StartTLS(t)
	server.CreateContainer(t, "backups")

	t.Setenv("AZURE_CLIENT_ID", "client-1")
	t.Setenv("AZURE_TENANT_ID", "tenant-1")
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", tokenFile(t))
	t.Setenv("AZURE_AUTHORITY_HOST", entra.URL)
	bundle := string(ca) + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: entra.Certificate().Raw}))

	p := server.Profile("backups", "")
	p.CABundle = bundle
	p.Credential = profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{
		Type:       profile.SecretAzure,
		StringData: map[string]string{profile.AzureStorageAccount: azuretest.Account, profile.AzureFederatedIdentity: "true"},
	}}
	roundTripAs(t, p)
	assert.Equal(t, "jwt-of-the-pod client-1", asked.Load())

	// Without any Secret: the account stands in the endpoint.
	p.Credential = profile.Credential{}
	p.Location.Endpoint += "/" + azuretest.Account
	roundTripAs(t, p)
}

// entraToken is a token of Entra as far as Azurite reads one: it checks no signature.
func entraToken(t *testing.T) string {
	t.Helper()
	part := func(v any) string {
		data, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	now := time.Now().Unix()
	return part(map[string]string{"typ": "JWT", "alg": "RS256"}) + "." + part(map[string]any{
		"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
		"iat": now - 60, "nbf": now - 60, "exp": now + 3600,
	}) + "." + base64.RawURLEncoding.EncodeToString([]byte("unsigned"))
}

// On GKE the metadata server gives the token of the pod's service account; outside,
// GOOGLE_APPLICATION_CREDENTIALS names a workload identity federation.
func TestGCSWithTheIdentityOfThePod(t *testing.T) {
	server := gcstest.Start(t)
	server.CreateBucket(t, "backups")
	var asked atomic.Value
	google := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/service-accounts/default/token"):
			asked.Store("metadata")
			_, _ = io.WriteString(w, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)
		case r.URL.Path == "/v1/token":
			assert.NoError(t, r.ParseForm())
			asked.Store(r.Form.Get("subject_token"))
			_, _ = io.WriteString(w, `{"access_token":"t","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":3600}`)
		default:
			_, _ = io.WriteString(w, "project")
		}
	}))
	t.Cleanup(google.Close)
	p := server.Profile(t, "backups", "")
	p.Credential = profile.Credential{}

	federation, err := json.Marshal(map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/x", "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
		"token_url": google.URL + "/v1/token", "credential_source": map[string]string{"file": tokenFile(t)},
	})
	require.NoError(t, err)
	t.Run("federation", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "adc.json")
		require.NoError(t, os.WriteFile(file, federation, 0o600))
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
		roundTripAs(t, p)
		assert.Equal(t, "jwt-of-the-pod", asked.Load())
	})
	t.Run("metadata", func(t *testing.T) {
		t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
		t.Setenv("HOME", t.TempDir())
		t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(google.URL, "http://"))
		roundTripAs(t, p)
		assert.Equal(t, "metadata", asked.Load())
	})
	t.Run("federation in the Secret", func(t *testing.T) {
		withSecret := *p
		withSecret.Credential = profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{
			Type: profile.SecretGCP, StringData: map[string]string{profile.GCPServiceKey: string(federation)},
		}}
		roundTripAs(t, &withSecret)
		assert.Equal(t, "jwt-of-the-pod", asked.Load())
		_, err := location.Open(t.Context(), &withSecret)
		require.ErrorContains(t, err, "task pods only", "in a process that acts for many")
	})
}
