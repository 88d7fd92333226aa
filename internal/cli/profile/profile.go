package profile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/validation"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
	stores "github.com/salvor-io/salvor/internal/location"
)

// access is what one provider's flags come to.
type access struct {
	location kanister.LocationType
	// short begins the generated names.
	short string
	// idField and secretField hold the key pair in data.
	idField, secretField string
	data                 map[string]string
	// whole is the Secret's type when the credential is the whole Secret.
	whole corev1.SecretType
	// keyless: there is no credential. ambient: there is one without a key. Both mean
	// the identity of the pods.
	keyless, ambient bool
}

// location is what the providers share.
type location struct {
	name, bucket, endpoint, prefix, region string
	skipTLSVerify                          bool
}

func (l *location) validate(kind kanister.LocationType) error {
	if l.bucket == "" && !l.forRDS(kind) {
		return errors.New("--bucket is required")
	}
	if strings.Contains(l.bucket, "/") {
		return fmt.Errorf("--bucket: %q is not the name of a bucket; a path belongs into --prefix, a server into --endpoint", l.bucket)
	}
	if l.name != "" {
		if problems := validation.IsDNS1123Subdomain(l.name); len(problems) > 0 {
			return fmt.Errorf("--name: %q is not a valid name: %s", l.name, problems[0])
		}
	}
	if err := stores.CheckPrefix(l.prefix); err != nil {
		return fmt.Errorf("--prefix: %w", err)
	}
	if err := stores.CheckEndpoint(l.endpoint); err != nil {
		return fmt.Errorf("--endpoint: %w", err)
	}
	return nil
}

// ForRDS reports whether a location is one without a bucket, which the functions of RDS
// take region and keys from. Kanister's instructions for RDS make such Profiles.
func ForRDS(l *kanister.Location) bool {
	return l.Type == kanister.LocationTypeS3Compliant && l.Bucket == "" && l.Region != ""
}

// forRDS reports whether the Profile is to be one for RDS: what only a bucket has use for
// says that the bucket was forgotten.
func (l *location) forRDS(kind kanister.LocationType) bool {
	return ForRDS(&kanister.Location{Type: kind, Bucket: l.bucket, Region: l.region}) && l.endpoint == "" && l.prefix == ""
}

// build makes the Secret and the Profile that refers to it; without keys there is no
// Secret.
func build(namespace string, l *location, x *access) (*corev1.Secret, *kanister.Profile) {
	name := l.name
	if name == "" {
		name = x.short + "-profile-" + rand.String(5)
	}
	profile := &kanister.Profile{
		TypeMeta:   metav1.TypeMeta{APIVersion: kanister.GroupVersion.String(), Kind: "Profile"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Location: kanister.Location{
			Type: x.location, Bucket: l.bucket, Endpoint: l.endpoint, Prefix: l.prefix, Region: l.region,
		},
		SkipSSLVerify: l.skipTLSVerify,
	}
	if x.keyless {
		return nil, profile
	}
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: x.short + "-secret-" + rand.String(6)},
		Type:       x.whole,
		StringData: x.data,
	}
	reference := kanister.ObjectReference{Namespace: namespace, Name: secret.Name}
	credential := &kanister.Credential{
		Type:    kanister.CredentialTypeKeyPair,
		KeyPair: &kanister.KeyPair{IDField: x.idField, SecretField: x.secretField, Secret: reference},
	}
	if x.whole != "" {
		credential = &kanister.Credential{Type: kanister.CredentialTypeSecret, Secret: &reference}
	}
	profile.Credential = credential
	return secret, profile
}

// secretFlag is a value that may be given on the command line or in a file.
type secretFlag struct {
	flag, value, file string
}

func (s *secretFlag) read(a *app.App) (string, error) {
	switch {
	case s.value != "" && s.file != "":
		return "", fmt.Errorf("--%s and --%s-file exclude each other", s.flag, s.flag)
	case s.file != "":
		value, err := a.ReadSecret(s.file)
		if err != nil {
			return "", fmt.Errorf("--%s-file: %w", s.flag, err)
		}
		return value, nil
	case s.value == "":
		return "", fmt.Errorf("--%s-file (or --%s) is required", s.flag, s.flag)
	}
	return s.value, nil
}

// checkServiceKey refuses what is not a Google credential, without showing it.
func checkServiceKey(key string) error {
	var content struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal([]byte(key), &content); err != nil || content.Type == "" {
		return errors.New("--service-key: the file is not a Google credential: JSON with a field \"type\"")
	}
	return nil
}
