package profile

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// golden is what Kanister 0.119 renders for `{{ toJson .Profile }}`.
const golden = `{"Location":{"type":"s3Compliant","bucket":"bk","endpoint":"","prefix":"","region":""},` +
	`"Credential":{"Type":"keyPair","KeyPair":{"ID":"id","Secret":"se"},"Secret":null,"KopiaServerSecret":null},"SkipSSLVerify":false}`

const canary = "c4n4ry-s3cr3t"

func TestJSONIsThatOfKanister(t *testing.T) {
	p := Profile{
		Location:   Location{Type: LocationS3, Bucket: "bk"},
		Credential: Credential{Type: CredentialKeyPair, KeyPair: &KeyPair{ID: "id", Secret: "se"}},
	}
	data, err := json.Marshal(p)
	require.NoError(t, err)
	assert.Equal(t, golden, string(data)) //nolint:testifylint // byte for byte is the contract

	back, err := Parse([]byte(golden))
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(&p, back))
}

// The Secret here must read what Kubernetes' own type writes, and the other way.
func TestSecretJSONIsThatOfKubernetes(t *testing.T) {
	immutable := true
	theirs := corev1.Secret{
		TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: "s3", Namespace: "app", UID: "u-1",
			Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"},
		},
		Immutable: &immutable,
		Type:      SecretAWS,
		Data:      map[string][]byte{AWSAccessKeyID: []byte("id"), AWSSecretAccessKey: {0xff, 0x00}},
	}
	theirJSON, err := json.Marshal(theirs)
	require.NoError(t, err)
	var ours Secret
	require.NoError(t, json.Unmarshal(theirJSON, &ours))
	ourJSON, err := json.Marshal(ours)
	require.NoError(t, err)
	assert.JSONEq(t, string(theirJSON), string(ourJSON))
	assert.Equal(t, "s3", ours.Name)
	assert.Equal(t, "id", ours.Value(AWSAccessKeyID))
}

func TestParseSaysWhatToFix(t *testing.T) {
	for name, tc := range map[string]struct{ in, want string }{
		"empty":          {" ", "toJson .Profile"},
		"null":           {"null", "spec.actions[].profile"},
		"syntax":         {`{"Credential":{"KeyPair":{"Secret":"` + canary + `"`, "syntax error at byte"},
		"wrong type":     {`{"Location":{"bucket":["` + canary + `"]}}`, "Location.bucket has the wrong type"},
		"bad base64":     {`{"Credential":{"Secret":{"data":{"k":"` + canary + `!"}}}}`, "base64"},
		"no type":        {`{"Location":{}}`, `Location.type "" is unknown`},
		"kopia":          {`{"Location":{"type":"kopia"}}`, "not supported yet"},
		"no bucket":      {`{"Location":{"type":"gcs"}}`, "Location.bucket is empty"},
		"no type of it":  {`{"Location":{"type":"gcs","bucket":"b"},"Credential":{"KeyPair":{"ID":"i","Secret":"` + canary + `"}}}`, `Credential.Type "" is unknown`},
		"half a keypair": {`{"Location":{"type":"gcs","bucket":"b"},"Credential":{"Type":"keyPair","KeyPair":{"Secret":"` + canary + `"}}}`, "needs ID and Secret"},
		"null secret":    {`{"Location":{"type":"gcs","bucket":"b"},"Credential":{"Type":"secret"}}`, "Credential.Secret is null"},
		"kopia secret":   {`{"Location":{"type":"gcs","bucket":"b"},"Credential":{"Type":"kopia"}}`, "not supported yet"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(tc.in))
			require.ErrorContains(t, err, tc.want)
			assert.NotContains(t, err.Error(), canary)
		})
	}
}

// What a Profile without a credential renders as, and what a script may leave out.
func TestNoCredentialIsTheIdentityAround(t *testing.T) {
	for _, in := range []string{
		`{"Location":{"type":"s3Compliant","bucket":"b"},"Credential":{"Type":"","KeyPair":null,"Secret":null,"KopiaServerSecret":null}}`,
		`{"Location":{"type":"azure","bucket":"b"}}`,
	} {
		p, err := Parse([]byte(in))
		require.NoError(t, err)
		assert.True(t, p.Credential.Ambient())
		assert.Empty(t, p.SecretValues())
	}
}

func TestFilestoreNeedsNoCredential(t *testing.T) {
	_, err := Parse([]byte(`{"Location":{"type":"filestore","bucket":"/backups"}}`))
	require.NoError(t, err)
}

func TestPrintingShowsNoSecret(t *testing.T) {
	p := &Profile{
		Location: Location{Type: LocationS3, Bucket: "bk", Prefix: "p", Endpoint: "http://s3"},
		Credential: Credential{
			Type:              CredentialSecret,
			KeyPair:           &KeyPair{ID: "id", Secret: canary},
			Secret:            &Secret{Data: map[string][]byte{"k": []byte(canary)}, StringData: map[string]string{"k": canary}},
			KopiaServerSecret: &KopiaServerSecret{Password: canary},
		},
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, v := range []any{p, *p, p.Credential, p.Credential.KeyPair, p.Credential.Secret, p.Credential.KopiaServerSecret} {
			text := fmt.Sprintf(verb, v)
			assert.NotContains(t, text, canary, "%s of %T", verb, v)
			assert.NotContains(t, text, "99, 52", "%s of %T shows bytes", verb, v)
		}
	}
	assert.Contains(t, p.String(), `"bk"`)
}

func TestSecretValuesLeavesIdentitiesOut(t *testing.T) {
	p := Profile{Credential: Credential{
		KeyPair: &KeyPair{ID: "visible", Secret: canary},
		Secret: &Secret{Data: map[string][]byte{
			AWSAccessKeyID: []byte("visible"), AWSSecretAccessKey: []byte("longer-" + canary), "unknown": []byte(canary), "empty": nil,
		}},
	}}
	assert.Equal(t, []string{"longer-" + canary, canary}, p.SecretValues())
}

func TestNeedsIdentity(t *testing.T) {
	t.Parallel()
	secret := func(typ string, data map[string][]byte) Credential {
		return Credential{Type: CredentialSecret, Secret: &Secret{Type: typ, Data: data}}
	}
	for name, tt := range map[string]struct {
		credential Credential
		want       bool
	}{
		"nothing":           {Credential{}, true},
		"a key pair":        {Credential{Type: CredentialKeyPair, KeyPair: &KeyPair{ID: "i", Secret: "s"}}, false},
		"an empty key pair": {Credential{Type: CredentialKeyPair, KeyPair: &KeyPair{}}, true},
		"keys of AWS":       {secret(SecretAWS, map[string][]byte{AWSAccessKeyID: []byte("i"), AWSSecretAccessKey: []byte("s")}), false},
		"a role alone":      {secret(SecretAWS, map[string][]byte{AWSRole: []byte("r"), AWSSecretAccessKey: []byte("\n")}), true},
		"a federated one":   {secret(SecretAzure, map[string][]byte{AzureStorageAccount: []byte("a"), AzureFederatedIdentity: []byte("true")}), true},
		"a key of Azure":    {secret(SecretAzure, map[string][]byte{AzureStorageAccount: []byte("a"), AzureStorageKey: []byte("k")}), false},
		"a key of Google":   {secret(SecretGCP, map[string][]byte{GCPServiceKey: []byte("k")}), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, tt.credential.NeedsIdentity())
		})
	}
}
