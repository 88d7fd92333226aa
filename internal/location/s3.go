package location

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"gocloud.dev/blob/s3blob"

	"github.com/salvor-io/salvor/internal/profile"
)

const (
	defaultRegion = "us-east-1"
	// roleName is the name under which an assumed role shows in an audit log.
	roleName = "salvor"
)

// openS3 opens a bucket of AWS, or with an endpoint of anything that speaks S3.
func (l *Location) openS3(ctx context.Context, p *profile.Profile) error {
	endpoint, err := endpointURL(p.Location.Endpoint)
	if err != nil {
		return err
	}
	keys, err := s3KeysOf(&p.Credential)
	if err != nil {
		return err
	}
	cfg := aws.Config{
		Region:      orDefault(p.Location.Region, defaultRegion),
		Credentials: credentials.NewStaticCredentialsProvider(keys.id, keys.secret, keys.token),
		HTTPClient: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.TLSClientConfig = tlsConfig(p)
		}),
	}
	if endpoint != "" {
		// Stores older than 2025 refuse the checksums the SDK adds by default.
		// The payload is still covered, by the signature over http and by TLS.
		cfg.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		cfg.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	}
	if keys.role != "" {
		cfg.Credentials = assumeRole(cfg, keys.role, endpoint)
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
			o.UsePathStyle = true
		}
	})
	if l.bucket, err = s3blob.OpenBucket(ctx, client, p.Location.Bucket, nil); err != nil {
		return err
	}
	l.upload = newS3Uploader(client, p.Location.Bucket).upload
	return nil
}

// assumeRole exchanges the keys for those of a role, again each time they expire.
// AWS answers that at its token service; other stores (MinIO, Ceph) at the
// endpoint of the store.
func assumeRole(cfg aws.Config, role, endpoint string) aws.CredentialsProvider {
	client := sts.NewFromConfig(cfg, func(o *sts.Options) {
		if endpoint != "" && !strings.Contains(endpoint, ".amazonaws.com") {
			o.BaseEndpoint = &endpoint
		}
	})
	return aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(client, role, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = roleName
	}))
}

// s3Keys is what a credential holds for S3.
type s3Keys struct{ id, secret, token, role string }

func s3KeysOf(c *profile.Credential) (s3Keys, error) {
	if c.Type == profile.CredentialKeyPair {
		return s3Keys{id: c.KeyPair.ID, secret: c.KeyPair.Secret}, nil
	}
	s := c.Secret
	keys := s3Keys{
		id:     strings.TrimSpace(s.Value(profile.AWSAccessKeyID)),
		secret: strings.TrimSpace(s.Value(profile.AWSSecretAccessKey)),
		token:  strings.TrimSpace(s.Value(profile.AWSSessionToken)),
		role:   strings.TrimSpace(s.Value(profile.AWSRole)),
	}
	if keys.id == "" || keys.secret == "" {
		return s3Keys{}, needKeys(s, profile.SecretAWS, profile.AWSAccessKeyID, profile.AWSSecretAccessKey)
	}
	return keys, nil
}

// needKeys is the error of a Secret that lacks keys or is of another type.
func needKeys(s *profile.Secret, want string, keys ...string) error {
	return fmt.Errorf("secret %s/%s of type %q does not hold %s; use a Secret of type %s with them",
		s.Namespace, s.Name, s.Type, strings.Join(keys, " and "), want)
}

// endpointURL brings an endpoint into the form scheme://host[/path]. Without a
// scheme it is https.
func endpointURL(endpoint string) (string, error) {
	if endpoint == "" {
		return "", nil
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", errors.New("the Location.endpoint is not a URL; write it like https://host:port")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return "", errors.New("the Location.endpoint must be an http or https URL; write it like https://host:port")
	case u.User != nil, u.RawQuery != "":
		return "", errors.New("the Location.endpoint must hold no user, password or query; put them into the credential")
	}
	return strings.TrimSuffix(endpoint, "/"), nil
}

// tlsConfig follows the profile's wish about certificates.
func tlsConfig(p *profile.Profile) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: p.SkipSSLVerify, //nolint:gosec // G402: the user asks for it in the Profile
	}
}

// httpTransport is the standard transport with that configuration.
func httpTransport(p *profile.Profile) http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t := standard.Clone()
	t.TLSClientConfig = tlsConfig(p)
	return t
}

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
