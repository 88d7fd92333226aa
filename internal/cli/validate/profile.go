package validate

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

func (o *options) profile(ctx context.Context) error {
	p := &kanister.Profile{}
	if err := o.read(kanister.GroupVersion.WithKind("Profile"), p, func() (err error) {
		clients, err := o.app.Kube.Clients()
		if err != nil {
			return err
		}
		p, err = clients.Profiles(o.namespace).Get(ctx, o.name, metav1.GetOptions{})
		return err // read says what
	}); err != nil {
		return err
	}
	problems := checkProfile(p)
	if len(problems) == 0 && !o.schemaOnly {
		more, err := o.checkSecret(ctx, p)
		if err != nil {
			return err
		}
		problems = more
	}
	return o.verdict("profile "+p.Name, problems)
}

// checkProfile checks what the API server would, for a file that it has not
// seen yet.
func checkProfile(p *kanister.Profile) []string {
	var problems []string
	switch p.Location.Type {
	case kanister.LocationTypeS3Compliant, kanister.LocationTypeGCS, kanister.LocationTypeAzure, kanister.LocationTypeFilestore:
		if p.Location.Bucket == "" {
			problems = append(problems, "location.bucket is required for this type")
		}
	case kanister.LocationTypeKopia:
	default:
		problems = append(problems, fmt.Sprintf("location.type: %q is not one of s3Compliant, gcs, azure, filestore, kopia", p.Location.Type))
	}
	c := p.Credential
	if c == nil {
		if p.Location.Type != kanister.LocationTypeFilestore {
			problems = append(problems, "credential is required for this type of location")
		}
		return problems
	}
	switch c.Type {
	case kanister.CredentialTypeKeyPair:
		if c.KeyPair == nil || c.KeyPair.IDField == "" || c.KeyPair.SecretField == "" || c.KeyPair.Secret.Name == "" {
			problems = append(problems, "credential.keyPair needs idField, secretField and secret.name")
		}
	case kanister.CredentialTypeSecret:
		if c.Secret == nil || c.Secret.Name == "" {
			problems = append(problems, "credential.secret.name is required when credential.type is secret")
		}
	case kanister.CredentialTypeKopia:
		if c.KopiaServerSecret == nil {
			problems = append(problems, "credential.kopiaServerSecret is required when credential.type is kopia")
		}
	default:
		problems = append(problems, fmt.Sprintf("credential.type: %q is not one of keyPair, secret, kopia", c.Type))
	}
	return problems
}

// checkSecret looks whether the Secret has what the Profile names; it never
// looks at a value.
func (o *options) checkSecret(ctx context.Context, p *kanister.Profile) ([]string, error) {
	var reference kanister.ObjectReference
	var fields []string
	switch {
	case p.Credential == nil:
		return nil, nil
	case p.Credential.KeyPair != nil:
		reference = p.Credential.KeyPair.Secret
		fields = []string{p.Credential.KeyPair.IDField, p.Credential.KeyPair.SecretField}
	case p.Credential.Secret != nil:
		reference = *p.Credential.Secret
	default:
		return nil, nil
	}
	if reference.Namespace == "" {
		return []string{"the namespace of the credential's Secret is missing"}, nil
	}
	clients, err := o.app.Kube.Clients()
	if err != nil {
		return nil, fmt.Errorf("look for the Secret (--schema-validation-only does not): %w", err)
	}
	secret, err := clients.Kube.CoreV1().Secrets(reference.Namespace).Get(ctx, reference.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return []string{fmt.Sprintf("its Secret %s/%s does not exist", reference.Namespace, reference.Name)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the Secret (--schema-validation-only does not): %w", err)
	}
	var problems []string
	for _, field := range fields {
		if len(secret.Data[field]) == 0 {
			problems = append(problems, fmt.Sprintf("its Secret %s/%s has no field %s", reference.Namespace, reference.Name, field))
		}
	}
	return problems, nil
}
