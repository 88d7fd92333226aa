package kandocmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/salvor-io/salvor/internal/location"
)

// standard stands for stdin or stdout.
const standard = "-"

// push stores source under path.
func push(ctx context.Context, l *location.Location, path, source string, stdin io.Reader) (err error) {
	in := stdin
	if source != standard {
		file, err := openSource(source)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		in = file
	}
	n, err := l.Push(ctx, path, in)
	if err != nil {
		return err
	}
	log := zerolog.Ctx(ctx)
	if n == 0 {
		// Mostly a dump that failed in front of a pipe, which looks like this here.
		log.Warn().Str("path", path).Msg("stored an empty object; did the command before the pipe fail? (set -o pipefail)")
	}
	log.Info().Str("path", path).Int64("bytes", n).Msg("pushed")
	return nil
}

func openSource(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("the source cannot be read: %w", err)
	}
	if info.IsDir() {
		return nil, fmt.Errorf("the source %q is a directory; pipe an archive of it: tar -c %s | kando location push … -", name, name)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("the source cannot be read: %w", err)
	}
	return file, nil
}

// pull writes the object at path to target.
func pull(ctx context.Context, l *location.Location, path, target string, stdout io.Writer) error {
	n, err := pullTo(ctx, l, path, target, stdout)
	if err != nil {
		return err
	}
	zerolog.Ctx(ctx).Info().Str("path", path).Int64("bytes", n).Msg("pulled")
	return nil
}

func pullTo(ctx context.Context, l *location.Location, path, target string, stdout io.Writer) (int64, error) {
	if target == standard {
		return l.Pull(ctx, path, stdout)
	}
	info, err := os.Stat(target)
	switch {
	case err == nil && info.IsDir():
		return 0, fmt.Errorf("the target %q is a directory; name a file in it", target)
	case err == nil && !info.Mode().IsRegular():
		return pullInto(ctx, l, path, target) // a named pipe or a device
	case err != nil:
		return pullFile(ctx, l, path, file{name: target, mode: newFileMode})
	}
	// What a link leads to is written, and the link stays.
	led, err := filepath.EvalSymlinks(target)
	if err != nil {
		return 0, fmt.Errorf("the target cannot be written: %w", err)
	}
	return pullFile(ctx, l, path, file{name: led, mode: info.Mode().Perm(), there: true})
}

// pullInto writes to something that is there and stays.
func pullInto(ctx context.Context, l *location.Location, path, target string) (n int64, err error) {
	file, err := os.OpenFile(target, os.O_WRONLY, 0)
	if err != nil {
		return 0, fmt.Errorf("the target cannot be written: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return l.Pull(ctx, path, file)
}

// newFileMode is what Kanister's kando gives a file that was not there, for the next
// command to read.
const newFileMode = 0o644

// file is what a pull writes to.
type file struct {
	name  string
	mode  os.FileMode
	there bool
}

// pullFile writes next to the target and renames, so that half an object never
// looks like the whole.
func pullFile(ctx context.Context, l *location.Location, path string, target file) (n int64, err error) {
	part, err := os.CreateTemp(filepath.Dir(target.name), "."+filepath.Base(target.name)+".*")
	if err != nil {
		return 0, fmt.Errorf("the target cannot be written: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part.Name())
		}
	}()
	n, err = l.Pull(ctx, path, part)
	err = errors.Join(err, part.Close())
	if err != nil {
		return n, err
	}
	if err := os.Chmod(part.Name(), target.mode); err != nil {
		return n, err
	}
	err = os.Rename(part.Name(), target.name)
	if target.there && errors.Is(err, syscall.EBUSY) {
		err = overwrite(target.name, part.Name())
	}
	return n, err
}

// overwrite writes into a file that cannot be replaced because it is mounted by itself
// (subPath).
func overwrite(target, source string) (err error) {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return fmt.Errorf("the target cannot be written: %w", err)
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Remove(source))
}
