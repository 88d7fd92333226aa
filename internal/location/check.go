package location

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/google/uuid"
	"gocloud.dev/blob"
)

// Check says whether the store can be used: that the bucket is there and may be listed,
// and that an object can be written below the prefix and deleted again.
func (l *Location) Check(ctx context.Context) error {
	prefix := strings.Trim(l.prefix, "/")
	if _, _, err := l.bucket.ListPage(ctx, blob.FirstPageToken, 1, &blob.ListOptions{Prefix: prefix}); err != nil && !errors.Is(err, io.EOF) {
		return l.where.fail("list", prefix, err)
	}
	name := ".salvor-check-" + uuid.NewString()
	if _, err := l.Push(ctx, name, strings.NewReader("written by salvor to see whether it may\n")); err != nil {
		return err
	}
	_, err := l.Delete(ctx, name)
	return err
}
