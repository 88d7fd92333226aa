package awsconf

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/salvor-io/salvor/internal/profile"
)

const (
	// DefaultRegion is that of a profile, and an environment, that names none.
	DefaultRegion = "us-east-1"

	// roleName is the name under which an assumed role shows in an audit log.
	roleName = "salvor"

	awsDomain = ".amazonaws.com"
)

// Options say who asks, and where.
type Options struct {
	// Credential holds the keys. The zero value is the identity around the
	// process (see the package comment).
	Credential profile.Credential
	// Role is assumed on top of the credential. Empty: the role that the
	// credential's Secret names, if any.
	Role string
	// RoleDuration is how long the keys of a role are good, as far as the role allows
	// it. Default 15 min; only whoever hands the keys on needs more.
	RoleDuration time.Duration
	// Region; empty is AWS_REGION for the identity around the process, else
	// DefaultRegion.
	Region string
	// Endpoint is the URL of the service that will be used; empty for AWS. It
	// decides only where a role is assumed: whoever makes a client sets its
	// BaseEndpoint.
	Endpoint string
	// STSEndpoint is the URL of the token service, where it is neither AWS' nor
	// at Endpoint.
	STSEndpoint string
	// SkipTLSVerify accepts any server certificate.
	SkipTLSVerify bool
	// CA is a PEM bundle of authorities to trust beside the system's.
	CA []byte
}

// Load returns the configuration of the SDK's clients. It makes no request, so
// a wrong key shows at the first use. Errors name the field of the profile and
// show no value of the credential.
func Load(ctx context.Context, o Options) (aws.Config, error) {
	tlsConfig, err := profile.TLSConfig(o.SkipTLSVerify, o.CA)
	if err != nil {
		return aws.Config{}, err
	}
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig = tlsConfig })
	keys, err := keysOf(&o.Credential)
	if err != nil {
		return aws.Config{}, err
	}
	var cfg aws.Config
	if keys.id == "" {
		cfg, err = ambient(ctx, o, client)
		if err != nil {
			return aws.Config{}, fmt.Errorf("the profile has no credential, and the identity around the process cannot be read: %w", err)
		}
	} else {
		cfg = aws.Config{
			Region:      orDefault(o.Region, DefaultRegion),
			Credentials: credentials.NewStaticCredentialsProvider(keys.id, keys.secret, keys.token),
			HTTPClient:  client,
		}
	}
	if role := orDefault(o.Role, keys.role); role != "" {
		cfg.Credentials = assume(cfg, role, o)
	}
	return cfg, nil
}

// ambient is what the SDK finds around the process.
func ambient(ctx context.Context, o Options, client *awshttp.BuildableClient) (aws.Config, error) {
	sources := []func(*config.LoadOptions) error{
		config.WithHTTPClient(client),
		config.WithDefaultRegion(DefaultRegion),
		config.WithWebIdentityRoleCredentialOptions(func(w *stscreds.WebIdentityRoleOptions) {
			w.RoleSessionName = orDefault(w.RoleSessionName, roleName)
		}),
	}
	if o.Region != "" {
		sources = append(sources, config.WithRegion(o.Region))
	}
	return config.LoadDefaultConfig(ctx, sources...)
}

// assume exchanges the keys of cfg for those of a role, again each time they expire.
func assume(cfg aws.Config, role string, o Options) aws.CredentialsProvider {
	client := sts.NewFromConfig(cfg, func(s *sts.Options) {
		switch {
		case o.STSEndpoint != "":
			s.BaseEndpoint = &o.STSEndpoint
		case o.Endpoint != "" && !strings.Contains(o.Endpoint, awsDomain):
			s.BaseEndpoint = &o.Endpoint
		}
	})
	return aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, role, func(a *stscreds.AssumeRoleOptions) {
		a.RoleSessionName = roleName
		if o.RoleDuration > 0 {
			a.Duration = o.RoleDuration
		}
	}))
}

// keys is what a credential holds for AWS. Without an id it is the identity
// around the process.
type keys struct{ id, secret, token, role string }

func keysOf(c *profile.Credential) (keys, error) {
	switch c.Type {
	case "":
		return keys{}, nil
	case profile.CredentialKeyPair:
		if c.KeyPair == nil || c.KeyPair.ID == "" || c.KeyPair.Secret == "" {
			return keys{}, errors.New("the profile's keyPair needs an access key and a secret key; leave the credential out for the identity of the service account")
		}
		return keys{id: c.KeyPair.ID, secret: c.KeyPair.Secret}, nil
	case profile.CredentialSecret:
		if c.Secret != nil {
			return ofSecret(c.Secret)
		}
	case profile.CredentialKopia:
	}
	return keys{}, fmt.Errorf("a credential of type %q does not open AWS; use keyPair, or secret with a Secret of type %s", c.Type, profile.SecretAWS)
}

// ofSecret takes a role alone for "as the identity around the process, become
// this": so an IRSA or pod identity can be given a role per profile.
func ofSecret(s *profile.Secret) (keys, error) {
	k := keys{
		id:     strings.TrimSpace(s.Value(profile.AWSAccessKeyID)),
		secret: strings.TrimSpace(s.Value(profile.AWSSecretAccessKey)),
		token:  strings.TrimSpace(s.Value(profile.AWSSessionToken)),
		role:   strings.TrimSpace(s.Value(profile.AWSRole)),
	}
	if k.id == "" && k.secret == "" && k.role != "" && s.Type == profile.SecretAWS {
		return k, nil
	}
	if k.id == "" || k.secret == "" {
		return keys{}, fmt.Errorf("secret %s/%s of type %q does not hold %s and %s; use a Secret of type %s with them",
			s.Namespace, s.Name, s.Type, profile.AWSAccessKeyID, profile.AWSSecretAccessKey, profile.SecretAWS)
	}
	return k, nil
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
