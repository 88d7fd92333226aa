package blueprint

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/profile"
)

// reader reads each Secret once, and knows all those it has read.
type reader struct {
	clients *kube.Clients
	known   map[SecretRef]*corev1.Secret
}

func newReader(c Cluster) *reader {
	return &reader{clients: c.Clients, known: map[SecretRef]*corev1.Secret{}}
}

func (r *reader) secret(ctx context.Context, field string, ref SecretRef) (*corev1.Secret, error) {
	if secret, ok := r.known[ref]; ok {
		return secret, nil
	}
	secret, err := r.clients.Kube.CoreV1().Secrets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	if err != nil {
		return nil, readError(err, field, what("Secret", ref.Namespace, ref.Name))
	}
	secret.ManagedFields = nil
	r.known[ref] = secret
	return secret, nil
}

func (r *reader) configMap(ctx context.Context, field, namespace, name string) (*corev1.ConfigMap, error) {
	cm, err := r.clients.Kube.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, readError(err, field, what("ConfigMap", namespace, name))
	}
	cm.ManagedFields = nil
	return cm, nil
}

// profile reads the credential that a Profile refers to.
func (r *reader) profile(ctx context.Context, field string, ref *ProfileRef) (*profile.Profile, error) {
	field += " (" + what("Profile", ref.Namespace, ref.Name) + ")"
	p := &profile.Profile{
		Location: profile.Location{
			Type: profile.LocationType(ref.Location.Type), Bucket: ref.Location.Bucket, Endpoint: ref.Location.Endpoint,
			Prefix: ref.Location.Prefix, Region: ref.Location.Region,
		},
		SkipSSLVerify: ref.SkipSSLVerify,
	}
	if err := r.caBundle(ctx, field, ref, p); err != nil {
		return nil, err
	}
	if ref.Credential == nil || *ref.Credential == (kanister.Credential{}) {
		if ref.Location.Type == kanister.LocationTypeKopia {
			return nil, errorf(event.ReasonInvalid, "%s: credential is missing; refer to the Secret that opens the %s location", field, ref.Location.Type)
		}
		return p, nil // the identity of the pod that does the work
	}
	c := &credentials{reader: r, field: field + ".credential", ref: ref}
	p.Credential.Type = profile.CredentialType(ref.Credential.Type)
	var err error
	switch ref.Credential.Type {
	case kanister.CredentialTypeKeyPair:
		p.Credential.KeyPair, err = c.keyPair(ctx)
	case kanister.CredentialTypeSecret:
		p.Credential.Secret, err = c.secret(ctx)
	case kanister.CredentialTypeKopia:
		p.Credential.KopiaServerSecret, err = c.kopia(ctx)
	default:
		err = errorf(event.ReasonInvalid, "%s.type: %q is unknown; use keyPair, secret or kopia", c.field, ref.Credential.Type)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// caBundle reads the authorities that the Profile names.
func (r *reader) caBundle(ctx context.Context, field string, ref *ProfileRef, p *profile.Profile) error {
	if ref.CABundle == "" {
		return nil
	}
	field += ".metadata.annotations[" + kanister.AnnotationCABundle + "]"
	name, key, _ := strings.Cut(ref.CABundle, "/")
	key = orElse(key, "ca.crt")
	cm, err := r.configMap(ctx, field, ref.Namespace, name)
	if err != nil {
		return err
	}
	bundle, ok := cm.Data[key]
	if !ok {
		return errorf(event.ReasonNotFound, "%s: %s has no key %q; %s", field, what("ConfigMap", ref.Namespace, name), key, has(slices.Sorted(maps.Keys(cm.Data))))
	}
	p.CABundle = bundle
	return nil
}

// credentials reads the parts of one Profile's credential.
type credentials struct {
	reader *reader
	field  string
	ref    *ProfileRef
}

func (c *credentials) missing(part string) error {
	return errorf(event.ReasonInvalid, "%s.%s: is missing; a credential of type %s needs it", c.field, part, c.ref.Credential.Type)
}

func (c *credentials) read(ctx context.Context, part string, ref *kanister.ObjectReference) (*corev1.Secret, error) {
	if ref == nil || ref.Name == "" {
		return nil, c.missing(part)
	}
	return c.reader.secret(ctx, c.field+"."+part, SecretRef{Namespace: orElse(ref.Namespace, c.ref.Namespace), Name: ref.Name})
}

// value reads one key of a Secret.
func (c *credentials) value(ctx context.Context, part, key string, ref *kanister.ObjectReference) (string, error) {
	secret, err := c.read(ctx, part, ref)
	if err != nil {
		return "", err
	}
	value, ok := secret.Data[key]
	if !ok {
		return "", errorf(event.ReasonNotFound, "%s.%s: %s has no key %q; %s", c.field, part, what("Secret", secret.Namespace, secret.Name), key, has(slices.Sorted(maps.Keys(secret.Data))))
	}
	return string(value), nil
}

func (c *credentials) keyPair(ctx context.Context) (*profile.KeyPair, error) {
	pair := c.ref.Credential.KeyPair
	if pair == nil {
		return nil, c.missing("keyPair")
	}
	id, err := c.value(ctx, "keyPair.secret", pair.IDField, &pair.Secret)
	if err != nil {
		return nil, err
	}
	secret, err := c.value(ctx, "keyPair.secret", pair.SecretField, &pair.Secret)
	if err != nil {
		return nil, err
	}
	return &profile.KeyPair{ID: id, Secret: secret}, nil
}

func (c *credentials) secret(ctx context.Context) (*profile.Secret, error) {
	secret, err := c.read(ctx, "secret", c.ref.Credential.Secret)
	if err != nil {
		return nil, err
	}
	var needs []string
	switch string(secret.Type) {
	case profile.SecretAWS:
		needs = []string{profile.AWSAccessKeyID, profile.AWSSecretAccessKey}
		_, id := secret.Data[profile.AWSAccessKeyID]
		_, key := secret.Data[profile.AWSSecretAccessKey]
		if _, role := secret.Data[profile.AWSRole]; role && !id && !key {
			needs = nil // the identity of the pod becomes that role
		}
	case profile.SecretAzure:
		needs = []string{profile.AzureStorageAccount}
	case profile.SecretGCP:
		needs = []string{profile.GCPProjectID, profile.GCPServiceKey}
	default:
		return nil, errorf(event.ReasonInvalid, "%s.secret: %s is of type %q; use %s, %s or %s", c.field, what("Secret", secret.Namespace, secret.Name),
			secret.Type, profile.SecretAWS, profile.SecretAzure, profile.SecretGCP)
	}
	for _, key := range needs {
		if _, ok := secret.Data[key]; !ok {
			return nil, errorf(event.ReasonNotFound, "%s.secret: %s has no key %q, which type %s needs; %s", c.field,
				what("Secret", secret.Namespace, secret.Name), key, secret.Type, has(slices.Sorted(maps.Keys(secret.Data))))
		}
	}
	return &profile.Secret{
		ObjectMeta: profile.ObjectMeta{
			Name: secret.Name, Namespace: secret.Namespace, UID: string(secret.UID),
			Labels: secret.Labels, Annotations: secret.Annotations,
		},
		Immutable: secret.Immutable, Data: secret.Data, Type: string(secret.Type),
	}, nil
}

func (c *credentials) kopia(ctx context.Context) (*profile.KopiaServerSecret, error) {
	ref := c.ref.Credential.KopiaServerSecret
	if ref == nil {
		return nil, c.missing("kopiaServerSecret")
	}
	password, err := c.value(ctx, "kopiaServerSecret.userPassphrase", ref.UserPassphrase.Key, ref.UserPassphrase.Secret)
	if err != nil {
		return nil, err
	}
	cert, err := c.value(ctx, "kopiaServerSecret.tlsCert", ref.TLSCert.Key, ref.TLSCert.Secret)
	if err != nil {
		return nil, err
	}
	return &profile.KopiaServerSecret{
		Username: ref.Username, Hostname: ref.Hostname, Password: password, Cert: cert, ConnectOptions: ref.ConnectOptions,
	}, nil
}

// has lists, in a message, what there is.
func has(names []string) string { return "it has " + list(names) }

// list lists names; too many are cut.
func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	const most = 20
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	clipped := make([]string, len(names))
	for i, name := range names {
		clipped[i] = clip(name, 64)
	}
	return strings.Join(clipped, ", ") + more
}

// clip cuts a text that is too long for a message.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
