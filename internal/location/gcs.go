package location

import (
	"context"
	"encoding/base64"
	"encoding/json"
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

// openGCS opens a bucket of Google Cloud Storage.
func (l *Location) openGCS(ctx context.Context, p *profile.Profile, o options) error {
	endpoint, err := endpointURL(p.Location.Endpoint)
	if err != nil {
		return err
	}
	transport, err := httpTransport(p)
	if err != nil {
		return err
	}
	// Fetching a token is a request too.
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: transport})
	var tokens oauth2.TokenSource
	if p.Credential.Ambient() {
		tokens, err = googleIdentity(ctx, endpoint, o)
	} else {
		tokens, err = googleCredential(ctx, &p.Credential, o)
	}
	if err != nil {
		return err
	}
	client, err := gcp.NewHTTPClient(transport, tokens)
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

// googleIdentity is the identity around the process: GOOGLE_APPLICATION_CREDENTIALS
// (also of a workload identity federation), else that of the pod's service account
// on GKE, from the metadata server.
func googleIdentity(ctx context.Context, endpoint string, o options) (oauth2.TokenSource, error) {
	if err := o.mayHaveToken(endpoint, ".googleapis.com"); err != nil {
		return nil, err
	}
	found, err := google.FindDefaultCredentials(ctx, gcsScope)
	if err != nil {
		return nil, fmt.Errorf("the profile has no credential, and the process has no identity: %w", err)
	}
	return found.TokenSource, nil
}

// googleCredential is a credential file in the profile. A profile comes from a
// tenant, and some kinds of file name a program to run, a file to read or a URL to
// fetch, so in Salvor's own processes only the kinds that do not are taken.
func googleCredential(ctx context.Context, c *profile.Credential, o options) (oauth2.TokenSource, error) {
	key, err := serviceKeyOf(c)
	if err != nil {
		return nil, err
	}
	var file struct {
		Type google.CredentialsType `json:"type"`
	}
	if err := json.Unmarshal(key, &file); err != nil {
		return nil, errors.New("the service account key is not JSON; download it again from Google Cloud")
	}
	switch file.Type {
	case google.ServiceAccount, google.AuthorizedUser:
	case google.ExternalAccount, google.ExternalAccountAuthorizedUser, google.ImpersonatedServiceAccount, google.GDCHServiceAccount:
		if !o.ownPod {
			return nil, fmt.Errorf("a Google credential of type %q names what to read or to ask, so it is used in task pods only; use a service account key", file.Type)
		}
	default:
		return nil, fmt.Errorf("a Google credential of type %q is not known; use a service account key", file.Type)
	}
	found, err := google.CredentialsFromJSONWithType(ctx, key, file.Type, gcsScope)
	if err != nil {
		return nil, fmt.Errorf("the Google credential of type %q cannot be used; download it again from Google Cloud", file.Type)
	}
	return found.TokenSource, nil
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
