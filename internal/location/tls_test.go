package location

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/azuretest"
	"github.com/salvor-io/salvor/internal/fixture/fronttest"
	"github.com/salvor-io/salvor/internal/fixture/gcstest"
	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/internal/profile"
)

// asSecret is the same credential as a Secret of the provider's type.
func asSecret(p *profile.Profile) profile.Credential {
	id, secret := []byte(p.Credential.KeyPair.ID), []byte(p.Credential.KeyPair.Secret)
	secrets := map[profile.LocationType]*profile.Secret{
		profile.LocationS3: {Type: profile.SecretAWS, Data: map[string][]byte{
			profile.AWSAccessKeyID: id, profile.AWSSecretAccessKey: secret,
		}},
		profile.LocationGCS: {Type: profile.SecretGCP, Data: map[string][]byte{profile.GCPProjectID: id, profile.GCPServiceKey: secret}},
		profile.LocationAzure: {Type: profile.SecretAzure, Data: map[string][]byte{
			profile.AzureStorageAccount: id, profile.AzureStorageKey: secret, profile.AzureStorageEnvironment: []byte("AzureUSGovernmentCloud"),
		}},
	}
	return profile.Credential{Type: profile.CredentialSecret, Secret: secrets[p.Location.Type]}
}

// Each protocol over TLS, with a key pair and with a Secret of the provider's type: an authority nobody knows is refused, and accepted when
// the profile brings it or asks for no verification.
func TestTLS(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(t *testing.T) *profile.Profile{
		"s3": func(t *testing.T) *profile.Profile {
			t.Helper()
			server := s3test.Start(t)
			server.CreateBucket(t, "backups")
			return server.Profile("backups", "")
		},
		"gcs": func(t *testing.T) *profile.Profile {
			t.Helper()
			server := gcstest.Start(t)
			server.CreateBucket(t, "backups")
			p := server.Profile(t, "backups", "")
			p.Location.Endpoint = server.Spool(t) // knows no host but that of the request
			return p
		},
		"azure": func(t *testing.T) *profile.Profile {
			t.Helper()
			server := azuretest.Start(t)
			server.CreateContainer(t, "backups")
			return server.Profile("backups", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := serve(t)
			front := fronttest.TLS(t, p.Location.Endpoint)
			p.Location.Endpoint = front.Endpoint
			_, err := openProfile(t, p).Pull(t.Context(), "a", &strings.Builder{})
			require.ErrorContains(t, err, "skipSSLVerify")
			require.NotErrorIs(t, err, ErrNotExist)

			withCA, skipped := *p, *p
			withCA.CABundle = string(front.CA)
			withCA.Credential = asSecret(p)
			skipped.SkipSSLVerify = true
			_, err = openProfile(t, &withCA).Push(t.Context(), "a", strings.NewReader("with the authority"))
			require.NoError(t, err)
			var got strings.Builder
			_, err = openProfile(t, &skipped).Pull(t.Context(), "a", &got)
			require.NoError(t, err)
			assert.Equal(t, "with the authority", got.String())

			withCA.CABundle = "not PEM"
			_, err = Open(t.Context(), &withCA)
			require.ErrorContains(t, err, "must be PEM")
		})
	}
}
