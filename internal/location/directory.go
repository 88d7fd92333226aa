package location

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"

	"github.com/salvor-io/salvor/internal/profile"
)

// openDirectory opens a directory, for tests and for clusters that have a shared
// file system and no object store. The directory has to be there: making it would
// hide a volume that is not mounted.
func (l *Location) openDirectory(p *profile.Profile) error {
	dir := p.Location.Bucket
	if !filepath.IsAbs(dir) {
		return fmt.Errorf("the Location.bucket of a filestore must be the absolute path of a directory, not %q", dir)
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("the directory cannot be used, is its volume mounted? %w", err)
	case !info.IsDir():
		return &fs.PathError{Op: "open", Path: dir, Err: fs.ErrInvalid}
	}
	l.bucket, err = fileblob.OpenBucket(dir, &fileblob.Options{
		NoTempDir:   true, // a rename from elsewhere could cross file systems
		Metadata:    fileblob.MetadataDontWrite,
		DirFileMode: 0o750,
	})
	l.upload = l.uploadFile
	return err
}

// uploadFile writes through gocloud's driver and has the data on disk before the
// file gets its name.
func (l *Location) uploadFile(ctx context.Context, key string, r io.Reader) error {
	synced := &syncAtEnd{r: r}
	return l.bucket.Upload(ctx, key, synced, &blob.WriterOptions{
		ContentType: contentType,
		BeforeWrite: func(as func(any) bool) error {
			as(&synced.file)
			return nil
		},
	})
}

// syncAtEnd flushes file when r has ended and all of it has been written, which is
// before the driver renames it.
type syncAtEnd struct {
	r     io.Reader
	file  *os.File
	ended bool
}

func (s *syncAtEnd) Read(p []byte) (int, error) {
	if !s.ended {
		n, err := s.r.Read(p)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		s.ended = true
		if n > 0 {
			return n, nil // the end comes with the next call, after these bytes are written
		}
	}
	if s.file != nil {
		if err := s.file.Sync(); err != nil {
			return 0, err
		}
	}
	return 0, io.EOF
}
