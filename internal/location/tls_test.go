package location

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/fronttest"
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

// overTLS: an authority nobody knows is refused, and accepted when the profile brings
// it or asks for no verification; with a key pair and with a Secret of the
// provider's type.
func overTLS(t *testing.T, p *profile.Profile) {
	t.Helper()
	front := fronttest.TLS(t, p.Location.Endpoint)
	unknown, withCA, skipped := *p, *p, *p
	for _, each := range []*profile.Profile{&unknown, &withCA, &skipped} {
		each.Location.Endpoint = front.Endpoint
	}
	_, err := openProfile(t, &unknown).Pull(t.Context(), "a", &strings.Builder{})
	require.ErrorContains(t, err, "skipSSLVerify")
	require.NotErrorIs(t, err, ErrNotExist)

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
}
