package validate

import (
	"fmt"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
)

// checkProfile checks what the API server would, for a file that it has not seen yet.
// A Profile without a credential means the identity of whoever uses it.
func checkProfile(p *kanister.Profile) []blueprint.Problem {
	var problems []blueprint.Problem
	switch p.Location.Type {
	case kanister.LocationTypeS3Compliant, kanister.LocationTypeGCS, kanister.LocationTypeAzure, kanister.LocationTypeFilestore:
		switch {
		case p.Location.Bucket != "":
		case p.Location.Type == kanister.LocationTypeS3Compliant && p.Location.Region != "":
			problems = append(problems, warning("location.bucket", "is empty, so the Profile is for the functions of RDS alone", "name the bucket, if there shall be one"))
		default:
			problems = append(problems, problem("location.bucket", "is required for this type", "name the bucket"))
		}
	case kanister.LocationTypeKopia:
	default:
		problems = append(problems, problem("location.type", fmt.Sprintf("%q is not one of s3Compliant, gcs, azure, filestore, kopia", p.Location.Type), "use one of them"))
	}
	c := p.Credential
	if c == nil || *c == (kanister.Credential{}) {
		return problems
	}
	switch c.Type {
	case kanister.CredentialTypeKeyPair:
		if c.KeyPair == nil || c.KeyPair.IDField == "" || c.KeyPair.SecretField == "" || c.KeyPair.Secret.Name == "" {
			problems = append(problems, problem("credential.keyPair", "needs idField, secretField and secret.name", "add what is missing"))
		}
	case kanister.CredentialTypeSecret:
		if c.Secret == nil || c.Secret.Name == "" {
			problems = append(problems, problem("credential.secret.name", "is required when credential.type is secret", "name the Secret"))
		}
	case kanister.CredentialTypeKopia:
		if c.KopiaServerSecret == nil {
			problems = append(problems, problem("credential.kopiaServerSecret", "is required when credential.type is kopia", "add it"))
		}
	default:
		problems = append(problems, problem("credential.type", fmt.Sprintf("%q is not one of keyPair, secret, kopia", c.Type), "use one of them"))
	}
	return problems
}
