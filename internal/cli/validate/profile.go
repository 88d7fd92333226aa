package validate

import (
	"fmt"
	"path"
	"strings"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	profiles "github.com/salvor-io/salvor/internal/cli/profile"
	"github.com/salvor-io/salvor/internal/location"
)

// checkProfile checks what the API server would, for a file that it has not seen yet,
// and what no store takes. A Profile without a credential means the identity of whoever
// uses it.
func checkProfile(p *kanister.Profile) []blueprint.Problem {
	problems := checkLocation(&p.Location)
	c := p.Credential
	if c == nil || *c == (kanister.Credential{}) {
		return problems
	}
	return append(problems, checkCredential(c)...)
}

func checkLocation(l *kanister.Location) []blueprint.Problem {
	var problems []blueprint.Problem
	add := func(field, message, hint string) {
		problems = append(problems, problem("location."+field, message, hint))
	}
	switch l.Type {
	case kanister.LocationTypeKopia:
		return nil
	case kanister.LocationTypeS3Compliant, kanister.LocationTypeGCS, kanister.LocationTypeAzure:
		if strings.Contains(l.Bucket, "/") {
			add("bucket", fmt.Sprintf("%q is not the name of a bucket", l.Bucket), "a path belongs into prefix, a server into endpoint")
		}
		if err := location.CheckEndpoint(l.Endpoint); err != nil {
			add("endpoint", "is not the address of a store: "+err.Error(), "")
		}
	case kanister.LocationTypeFilestore:
		if l.Bucket != "" && !path.IsAbs(l.Bucket) {
			add("bucket", fmt.Sprintf("%q is not an absolute path", l.Bucket), "name the directory where task pods have it, from / on")
		}
	default:
		add("type", fmt.Sprintf("%q is not one of s3Compliant, gcs, azure, filestore, kopia", l.Type), "use one of them")
		return problems
	}
	switch {
	case l.Bucket != "":
	case profiles.ForRDS(l):
		problems = append(problems, warning("location.bucket", "is empty, so the Profile is for the functions of RDS alone", "name the bucket, if there shall be one"))
	default:
		add("bucket", "is required for this type", "name the bucket")
	}
	if err := location.CheckPrefix(l.Prefix); err != nil {
		add("prefix", err.Error(), "")
	}
	return problems
}

func checkCredential(c *kanister.Credential) []blueprint.Problem {
	switch c.Type {
	case kanister.CredentialTypeKeyPair:
		return checkKeyPair(c.KeyPair)
	case kanister.CredentialTypeSecret:
		if c.Secret == nil || c.Secret.Name == "" {
			return []blueprint.Problem{problem("credential.secret.name", "is required when credential.type is secret", "name the Secret")}
		}
	case kanister.CredentialTypeKopia:
		if c.KopiaServerSecret == nil {
			return []blueprint.Problem{problem("credential.kopiaServerSecret", "is required when credential.type is kopia", "add it")}
		}
	default:
		return []blueprint.Problem{problem("credential.type", fmt.Sprintf("%q is not one of keyPair, secret, kopia", c.Type), "use one of them")}
	}
	return nil
}

func checkKeyPair(pair *kanister.KeyPair) []blueprint.Problem {
	if pair == nil {
		pair = &kanister.KeyPair{}
	}
	var missing []string
	for _, field := range []struct{ name, value string }{
		{"idField", pair.IDField}, {"secretField", pair.SecretField}, {"secret.name", pair.Secret.Name},
	} {
		if field.value == "" {
			missing = append(missing, field.name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return []blueprint.Problem{problem("credential.keyPair", "lacks "+strings.Join(missing, ", "),
		"idField and secretField name the keys of the Secret secret.name that hold the two halves")}
}
