package location

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/profile"
)

const canary = "c4n4ry-s3cr3t"

func s3Client(t *testing.T, l *Location) *s3.Client {
	t.Helper()
	var client *s3.Client
	require.True(t, l.bucket.As(&client))
	return client
}

func keyPair(endpoint string) *profile.Profile {
	return &profile.Profile{
		Location:   profile.Location{Type: profile.LocationS3, Bucket: "backups", Endpoint: endpoint},
		Credential: profile.Credential{Type: profile.CredentialKeyPair, KeyPair: &profile.KeyPair{ID: "id", Secret: canary}},
	}
}

func withSecret(kind profile.LocationType, data map[string]string) *profile.Profile {
	return &profile.Profile{
		Location:   profile.Location{Type: kind, Bucket: "backups"},
		Credential: profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{StringData: data}},
	}
}

func TestOpenSaysWhatToFix(t *testing.T) {
	for want, p := range map[string]*profile.Profile{
		"must be an http or https URL": keyPair("ftp://host"),
		"no user, password":            keyPair("https://user:" + canary + "@host"),
		"is not a URL":                 keyPair("https://user:" + canary + "@host:port:1"),
		"aws_secret_access_key":        withSecret(profile.LocationS3, map[string]string{"aws_access_key_id": "x", "other": canary}),
		"is used in task pods only":    withSecret(profile.LocationGCS, map[string]string{"gcp_service_key": `{"type":"external_account","x":"` + canary + `"}`}),
		"neither JSON nor base64":      withSecret(profile.LocationGCS, map[string]string{"gcp_service_key": canary}),
		"does not hold gcp_service":    withSecret(profile.LocationGCS, map[string]string{"other": canary}),
		"storage key is not base64":    withSecret(profile.LocationAzure, map[string]string{"azure_storage_account_id": "x", "azure_storage_key": canary}),
		"azure_storage_account_id and": withSecret(profile.LocationAzure, map[string]string{"azure_storage_key": canary}),
		"azure_storage_account_id":     withSecret(profile.LocationAzure, map[string]string{"azure_federated_identity": "true"}),
		`type "magic" is not known`:    withSecret(profile.LocationGCS, map[string]string{"gcp_service_key": `{"type":"magic","x":"` + canary + `"}`}),
		"which storage account":        {Location: profile.Location{Type: profile.LocationAzure, Bucket: "backups"}},
		"no server but https://*.core": {Location: profile.Location{Type: profile.LocationAzure, Bucket: "backups", Endpoint: "https://blob.core.windows.net.evil.example"}},
		"https://*.googleapis.com":     {Location: profile.Location{Type: profile.LocationGCS, Bucket: "backups", Endpoint: "http://storage.googleapis.com"}},
		`environment "Mars"`: withSecret(profile.LocationAzure, map[string]string{
			"azure_storage_account_id": "x", "azure_storage_key": canary, "azure_storage_environment": "Mars",
		}),
		"absolute path": {Location: profile.Location{Type: profile.LocationFilestore, Bucket: "relative"}},
		"volume mounted": {Location: profile.Location{
			Type: profile.LocationFilestore, Bucket: "/does/not/exist",
		}},
	} {
		_, err := Open(t.Context(), p)
		if assert.ErrorContains(t, err, want) {
			assert.NotContains(t, err.Error(), canary)
			assert.Contains(t, err.Error(), p.Location.Bucket)
		}
	}
}

// Nothing listens there: the error names the endpoint, on one line.
func TestUnreachable(t *testing.T) {
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())

	loc := openProfile(t, keyPair("http://"+address))
	_, err = loc.Push(t.Context(), "a", strings.NewReader("x"))
	require.ErrorContains(t, err, address)
	require.ErrorContains(t, err, "cannot be reached: check the profile's endpoint")
	_, err = loc.Delete(t.Context(), "a")
	require.ErrorContains(t, err, "cannot be reached")
	require.NotErrorIs(t, err, ErrNotExist)
}

func TestAzureService(t *testing.T) {
	for _, tc := range []struct{ endpoint, environment, want string }{
		{"", "", "https://acct.blob.core.windows.net"},
		{"", "AzureUSGovernmentCloud", "https://acct.blob.core.usgovcloudapi.net"},
		{"", "AzureChinaCloud", "https://acct.blob.core.chinacloudapi.cn"},
		{"https://acct.blob.example.com/", "", "https://acct.blob.example.com"},
		{"blob.example.com", "", "https://acct.blob.example.com"},
		{"http://127.0.0.1:10000/acct", "", "http://127.0.0.1:10000/acct"},
		{"http://127.0.0.1:10000", "", "http://127.0.0.1:10000/acct"},
	} {
		got, err := azureService(tc.endpoint, azureKeys{account: "acct", environment: tc.environment})
		require.NoError(t, err)
		assert.Equal(t, tc.want, got, "%q %q", tc.endpoint, tc.environment)
	}
}

// A store may answer with what it was sent; that must not reach a log, also not a
// part of it where a long text is cut.
func TestErrorsAreScrubbed(t *testing.T) {
	w := placeOf(keyPair(""))
	for length := range maxCause + 10 {
		err := w.fail("push", "k", fmt.Errorf("%s %s", strings.Repeat("x", length), canary))
		require.NotContains(t, err.Error(), canary[:6])
	}
	multi := w
	multi.secrets = []string{"line one\nline two"}
	assert.NotContains(t, multi.fail("push", "k", errors.New("got line one\nline two")).Error(), "line")
}

func TestErrorsAreWrappedOnce(t *testing.T) {
	w := placeOf(keyPair(""))
	first := w.fail("push", "k", errors.New("cause"))
	assert.Same(t, first, w.fail("delete", "other", first))
	assert.NoError(t, w.fail("push", "k", nil))
}
