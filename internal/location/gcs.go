package location

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/gcp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/option"

	"github.com/salvor-io/salvor/internal/profile"
)

// gcsScope is what a service account is asked for: objects, not buckets.
const gcsScope = "https://www.googleapis.com/auth/devstorage.read_write"

// openGCS opens a bucket of Google Cloud Storage with a service account key.
func (l *Location) openGCS(ctx context.Context, p *profile.Profile) error {
	endpoint, err := endpointURL(p.Location.Endpoint)
	if err != nil {
		return err
	}
	key, err := serviceKeyOf(&p.Credential)
	if err != nil {
		return err
	}
	// Only keys of service accounts: the other kinds of credential file can name
	// a program to run or a URL to fetch, and a profile comes from a tenant.
	account, err := google.JWTConfigFromJSON(key, gcsScope)
	if err != nil {
		return errors.New("the service account key is not the JSON of a service account; download it again from Google Cloud")
	}
	transport, err := httpTransport(p)
	if err != nil {
		return err
	}
	// Fetching a token is a request too.
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: transport})
	client, err := gcp.NewHTTPClient(transport, account.TokenSource(ctx))
	if err != nil {
		return err
	}
	var opts gcsblob.Options
	if endpoint != "" {
		if !strings.Contains(endpoint, "/storage/v1") {
			endpoint += "/storage/v1/"
		}
		opts.ClientOptions = append(opts.ClientOptions, option.WithEndpoint(endpoint))
	}
	l.upload = l.uploadChunks
	l.bucket, err = gcsblob.OpenBucket(ctx, client, p.Location.Bucket, &opts)
	return err
}

const (
	gcsChunk = 8 << 20
	// A chunk is sent again for so long, and counts as stuck after the other.
	gcsPatience = 4 * time.Minute
	gcsStuck    = 2 * time.Minute
)

// uploadChunks writes in one resumable upload, through gocloud. Its chunk is the
// only one in memory, and is sent again from there, from the byte the store has.
func (l *Location) uploadChunks(ctx context.Context, key string, r io.Reader) error {
	return l.bucket.Upload(ctx, key, r, &blob.WriterOptions{
		ContentType: contentType,
		BufferSize:  gcsChunk,
		BeforeWrite: func(as func(any) bool) error {
			var object **storage.ObjectHandle
			if as(&object) {
				// A push replaces what is there, so every request of it can be repeated.
				*object = (*object).Retryer(storage.WithPolicy(storage.RetryAlways))
			}
			var w *storage.Writer
			if as(&w) {
				w.ChunkRetryDeadline, w.ChunkTransferTimeout = gcsPatience, gcsStuck
			}
			return nil
		},
	})
}

// serviceKeyOf returns the JSON of the service account. People keep it as it is
// or in base64.
func serviceKeyOf(c *profile.Credential) ([]byte, error) {
	var key string
	if c.Type == profile.CredentialKeyPair {
		key = c.KeyPair.Secret
	} else {
		key = c.Secret.Value(profile.GCPServiceKey)
		if key == "" {
			return nil, needKeys(c.Secret, profile.SecretGCP, profile.GCPServiceKey)
		}
	}
	key = strings.TrimSpace(key)
	if strings.HasPrefix(key, "{") {
		return []byte(key), nil
	}
	decoded, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		return nil, fmt.Errorf("the service account key is neither JSON nor base64 of it")
	}
	return decoded, nil
}
