package images

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Entry is a file of a layer. Exactly one of Content, Source, Link and Dir
// says what it is.
type Entry struct {
	Path    string // without the leading slash
	Mode    int64
	Content []byte
	Source  string // a file of this machine
	Link    string // the target of a symbolic link
	Dir     bool
	Owner   int // user and group
}

// digest changes whenever the layer made of the entries would.
func digest(entries []Entry) (string, error) {
	hash := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(hash, "%q %o %q %t %d %d\n", e.Path, e.Mode, e.Link, e.Dir, e.Owner, len(e.Content))
		hash.Write(e.Content)
		if e.Source == "" {
			continue
		}
		if err := addFile(hash, e.Source); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func addFile(to io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(to, file)
	return err
}

// writeTar writes the entries as a layer. Times are zero, so that equal
// entries make equal layers. Parent folders are written before their files.
func writeTar(to io.Writer, entries []Entry) error {
	archive := tar.NewWriter(to)
	made := map[string]bool{".": true}
	for _, entry := range entries {
		if err := writeParents(archive, made, filepath.Dir(entry.Path)); err != nil {
			return err
		}
		if err := writeEntry(archive, entry); err != nil {
			return fmt.Errorf("add %s: %w", entry.Path, err)
		}
		made[entry.Path] = true
	}
	return archive.Close()
}

func writeParents(archive *tar.Writer, made map[string]bool, dir string) error {
	if made[dir] {
		return nil
	}
	if err := writeParents(archive, made, filepath.Dir(dir)); err != nil {
		return err
	}
	made[dir] = true
	return archive.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755})
}

func writeEntry(archive *tar.Writer, entry Entry) error {
	header := &tar.Header{Name: entry.Path, Mode: entry.Mode, Uid: entry.Owner, Gid: entry.Owner}
	switch {
	case entry.Dir:
		header.Typeflag, header.Name = tar.TypeDir, strings.TrimSuffix(entry.Path, "/")+"/"
		return archive.WriteHeader(header)
	case entry.Link != "":
		header.Typeflag, header.Linkname = tar.TypeSymlink, entry.Link
		return archive.WriteHeader(header)
	case entry.Source != "":
		info, err := os.Stat(entry.Source)
		if err != nil {
			return err
		}
		header.Typeflag, header.Size = tar.TypeReg, info.Size()
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		return addFile(archive, entry.Source)
	default:
		header.Typeflag, header.Size = tar.TypeReg, int64(len(entry.Content))
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err := archive.Write(entry.Content)
		return err
	}
}

// layer is an uncompressed layer that lies in a file. Uncompressed, its digest
// and its diff id are the same.
type layer struct {
	path string
	Hash v1.Hash `json:"hash"`
	Len  int64   `json:"size"`
}

func (l *layer) Digest() (v1.Hash, error)             { return l.Hash, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.Hash, nil }
func (l *layer) Size() (int64, error)                 { return l.Len, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }
func (l *layer) Compressed() (io.ReadCloser, error)   { return os.Open(l.path) }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }

// cached returns the layer of the key, made by write when there is none yet.
func cached(dir, key string, write func(path string) error) (*layer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	found := &layer{path: filepath.Join(dir, key+".tar")}
	note := filepath.Join(dir, key+".json")
	content, err := os.ReadFile(note)
	if err == nil {
		info, statErr := os.Stat(found.path)
		if json.Unmarshal(content, found) == nil && statErr == nil && info.Size() == found.Len {
			now := time.Now() // Prune keeps what was used
			return found, os.Chtimes(note, now, now)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// The note comes last: without it the layer is made again.
	aside := found.path + ".new"
	defer os.Remove(aside)
	if err := write(aside); err != nil {
		return nil, err
	}
	if found.Hash, found.Len, err = measure(aside); err != nil {
		return nil, err
	}
	if err := os.Rename(aside, found.path); err != nil {
		return nil, err
	}
	if content, err = json.Marshal(found); err != nil {
		return nil, err
	}
	return found, os.WriteFile(note, content, 0o644)
}

// Prune removes the layers of the folder that nobody used since the moment: a
// program that is built often would fill the disk with its past.
func Prune(dir string, since time.Time) error {
	notes, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	var errs []error
	for _, note := range notes {
		info, err := os.Stat(note)
		if err != nil || !info.ModTime().Before(since) {
			errs = append(errs, err)
			continue
		}
		// The note goes first: a layer without one is no layer.
		errs = append(errs, os.Remove(note), os.Remove(strings.TrimSuffix(note, ".json")+".tar"))
	}
	return errors.Join(errs...)
}

func measure(path string) (v1.Hash, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return v1.Hash{}, 0, err
	}
	defer file.Close()
	return v1.SHA256(file)
}

// files returns the layer made of the entries.
func files(dir string, entries []Entry) (*layer, error) {
	key, err := digest(entries)
	if err != nil {
		return nil, err
	}
	return cached(dir, key, func(path string) error {
		file, err := os.Create(path)
		if err != nil {
			return err
		}
		defer file.Close()
		return errors.Join(writeTar(file, entries), file.Sync())
	})
}
