package location

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob/s3blob"

	"github.com/salvor-io/salvor/internal/awsconf"
	"github.com/salvor-io/salvor/internal/profile"
)

// openS3 opens a bucket of AWS, or with an endpoint of anything that speaks S3.
func (l *Location) openS3(ctx context.Context, p *profile.Profile) error {
	endpoint, err := endpointURL(p.Location.Endpoint)
	if err != nil {
		return err
	}
	cfg, err := awsconf.Load(ctx, awsconf.Options{
		Credential: p.Credential, Region: p.Location.Region, Endpoint: endpoint, SkipTLSVerify: p.SkipSSLVerify, CA: []byte(p.CABundle),
	})
	if err != nil {
		return err
	}
	if endpoint != "" {
		// Stores older than 2025 refuse the checksums the SDK adds by default.
		// The payload is still covered, by the signature over http and by TLS.
		cfg.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		cfg.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
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
	l.useS3(newS3Store(client, p.Location.Bucket))
	return nil
}

func (l *Location) useS3(store *s3Store) {
	l.upload, l.dropUploads = newUploader(store).upload, store.dropUploads
}

// needKeys is the error of a Secret that lacks keys or is of another type.
func needKeys(s *profile.Secret, want string, keys ...string) error {
	return fmt.Errorf("secret %s/%s of type %q does not hold %s; use a Secret of type %s with them",
		s.Namespace, s.Name, s.Type, strings.Join(keys, " and "), want)
}

// CheckEndpoint says what is wrong with the endpoint of a profile.
func CheckEndpoint(endpoint string) error {
	_, err := endpointURL(endpoint)
	return err
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

// httpTransport is the standard transport with the profile's wishes about
// certificates.
func httpTransport(p *profile.Profile) (http.RoundTripper, error) {
	cfg, err := profile.TLSConfig(p.SkipSSLVerify, []byte(p.CABundle))
	if err != nil {
		return nil, err
	}
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the process has replaced the standard HTTP transport")
	}
	t := standard.Clone()
	t.TLSClientConfig = cfg
	return t, nil
}
