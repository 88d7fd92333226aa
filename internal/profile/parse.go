package profile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Parse reads the JSON of a profile and checks that it can be used: a known
// location type, a bucket, and the credential its type promises. Its errors name
// the field and never quote a value of the credential.
func Parse(data []byte) (*Profile, error) {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0:
		return nil, errors.New("profile is empty; pass the JSON of {{ toJson .Profile }}")
	case string(data) == "null":
		return nil, errors.New("profile is null; the ActionSet names no profile, so set spec.actions[].profile")
	}
	var p Profile
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("profile is not the JSON of {{ toJson .Profile }}: %w", describe(err))
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return &p, nil
}

// describe keeps of a JSON error what is safe to show: the place, not the text.
func describe(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("syntax error at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("field %s has the wrong type, want %s", kind.Field, kind.Type)
	default:
		return errors.New("a value cannot be decoded (is the Secret's data base64?)")
	}
}

// Validate checks the parts of the profile against each other.
func (p Profile) Validate() error {
	switch p.Location.Type {
	case LocationS3, LocationGCS, LocationAzure:
	case LocationFilestore:
		return p.requireBucket()
	case LocationKopia:
		return fmt.Errorf("profile: location type %q is not supported yet; use s3Compliant, gcs, azure or filestore", p.Location.Type)
	default:
		return fmt.Errorf("profile: Location.type %q is unknown; use s3Compliant, gcs, azure or filestore", p.Location.Type)
	}
	if err := p.requireBucket(); err != nil {
		return err
	}
	return p.Credential.validate()
}

func (p Profile) requireBucket() error {
	if p.Location.Bucket == "" {
		return errors.New("profile: Location.bucket is empty; name the bucket (the container for azure, the directory for filestore)")
	}
	return nil
}

func (c Credential) validate() error {
	if c.Ambient() {
		return nil
	}
	switch c.Type {
	case CredentialKeyPair:
		if c.KeyPair == nil || c.KeyPair.ID == "" || c.KeyPair.Secret == "" {
			return errors.New("profile: Credential.KeyPair needs ID and Secret; check the fields idField and secretField of the Profile")
		}
	case CredentialSecret:
		if c.Secret == nil {
			return errors.New("profile: Credential.Type is secret, but Credential.Secret is null; check that the Secret exists")
		}
	case CredentialKopia:
		return errors.New("profile: Kopia credentials are not supported yet; use keyPair or secret")
	default:
		return fmt.Errorf("profile: Credential.Type %q is unknown; use keyPair or secret, or leave the credential out for the identity of the service account", c.Type)
	}
	return nil
}
