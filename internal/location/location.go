package location

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"

	"github.com/salvor-io/salvor/internal/profile"
)

const (
	// contentType is that of every object: a dump is bytes to everybody but its
	// reader.
	contentType = "application/octet-stream"

	// deletes is how many objects are removed at the same time.
	deletes = 8
)

// Location is an open store. It is safe for concurrent use. Close it after use.
type Location struct {
	bucket *blob.Bucket
	upload uploadFunc
	// dropUploads removes what killed processes have left of uploads to key and to
	// what is below it; nil where the store does that itself.
	dropUploads func(ctx context.Context, key string) error
	prefix      string
	where       place
}

// uploadFunc writes r to key, all of it or nothing. When r fails ctx is done.
type uploadFunc func(ctx context.Context, key string, r io.Reader) error

// Open opens the store of a profile. It makes no request: what is wrong with the
// address or the credential shows at the first use.
func Open(ctx context.Context, p *profile.Profile, opts ...Option) (*Location, error) {
	var o options
	for _, option := range opts {
		option(&o)
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	l := &Location{prefix: p.Location.Prefix, where: placeOf(p)}
	var err error
	switch p.Location.Type {
	case profile.LocationS3:
		err = l.openS3(ctx, p)
	case profile.LocationGCS:
		err = l.openGCS(ctx, p, o)
	case profile.LocationAzure:
		err = l.openAzure(ctx, p, o)
	case profile.LocationFilestore:
		err = l.openDirectory(p)
	case profile.LocationKopia:
		err = errors.New("kopia locations are not supported yet")
	}
	if err != nil {
		return nil, l.where.fail("open", "", err)
	}
	return l, nil
}

// OpenURL opens a store by the URL of gocloud.dev/blob, for example
// s3://bucket?region=eu-central-1, gs://bucket, azblob://container,
// file:///directory. The credential is the one the provider's SDK finds around
// the process.
func OpenURL(ctx context.Context, url string) (*Location, error) {
	where := placeOfURL(url)
	bucket, err := blob.OpenBucket(ctx, url)
	if err != nil {
		return nil, where.fail("open", "", err)
	}
	l := &Location{bucket: bucket, where: where}
	l.upload = l.uploadChunks
	var client *s3.Client
	var azure *container.Client
	switch {
	case bucket.As(&client):
		l.useS3(newS3Store(client, where.bucket))
	case bucket.As(&azure):
		l.upload = newUploader(&azureStore{azure}).upload
	}
	return l, nil
}

// Close frees what the store holds open.
func (l *Location) Close() error { return l.bucket.Close() }

// Push writes what r holds, to its end, as the object at path and returns the
// number of bytes. On an error the object is not there, or is the one that was
// there before. Push waits for a Read in progress, so the Read of r has to return
// when ctx is done.
func (l *Location) Push(ctx context.Context, path string, r io.Reader) (int64, error) {
	key, err := l.Key(path)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	src := &source{ctx: ctx, r: r, cancel: cancel}
	err = l.upload(ctx, key, src)
	if readErr := context.Cause(ctx); err != nil && readErr != nil {
		// The drivers report the cancellation; why it came about is more use.
		err = readErr
	}
	if err != nil {
		return src.n, l.where.fail("push", key, err)
	}
	return src.n, nil
}

// Pull writes the object at path to w and returns the number of bytes. If there
// is no such object, the error is ErrNotExist and nothing has been written.
func (l *Location) Pull(ctx context.Context, path string, w io.Writer) (n int64, err error) {
	key, err := l.Key(path)
	if err != nil {
		return 0, err
	}
	r, err := l.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return 0, l.where.fail("pull", key, err)
	}
	defer func() { err = errors.Join(err, l.where.fail("pull", key, r.Close())) }()
	n, err = io.Copy(w, r)
	if err == nil && n != r.Size() {
		err = fmt.Errorf("%w: %d of %d bytes", io.ErrUnexpectedEOF, n, r.Size())
	}
	return n, l.where.fail("pull", key, err)
}

// Delete removes the object at path and everything below it (path + "/"), and
// returns how many objects it removed. What is not there is no error.
func (l *Location) Delete(ctx context.Context, path string) (int, error) {
	if clean(path) == "" {
		return 0, l.where.fail("delete", "", errNoPath)
	}
	key, err := l.Key(path)
	if err != nil {
		return 0, err
	}
	deleted, err := l.deleteOne(ctx, key)
	if err != nil {
		return 0, err
	}
	below, err := l.deleteBelow(ctx, key+"/")
	if deleted {
		below++
	}
	if err == nil && l.dropUploads != nil {
		err = l.where.fail("delete", key, l.dropUploads(ctx, key))
	}
	return below, err
}

// deleteOne looks before it deletes: in a directory tree the key may be a folder,
// which a driver would try to remove.
func (l *Location) deleteOne(ctx context.Context, key string) (bool, error) {
	_, err := l.bucket.Attributes(ctx, key)
	if err == nil {
		err = l.bucket.Delete(ctx, key)
	}
	if isMissing(err) {
		return false, nil
	}
	return err == nil, l.where.fail("delete", key, err)
}

func (l *Location) deleteBelow(ctx context.Context, prefix string) (int, error) {
	total := 0
	for token := blob.FirstPageToken; len(token) > 0; {
		page, next, err := l.bucket.ListPage(ctx, token, 1000, &blob.ListOptions{Prefix: prefix})
		if err != nil {
			return total, l.where.fail("list", prefix, err)
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(deletes)
		for _, object := range page {
			g.Go(func() error {
				err := l.bucket.Delete(gctx, object.Key)
				if isMissing(err) {
					return nil
				}
				return l.where.fail("delete", object.Key, err)
			})
		}
		if err := g.Wait(); err != nil {
			return total, err
		}
		total, token = total+len(page), next
	}
	return total, nil
}
