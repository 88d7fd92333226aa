package kopia

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
)

const (
	// defaultDir is where a stream without a directory of its own is stored, as
	// Kanister does.
	defaultDir = "/kanister-backups"

	// pin keeps a snapshot from the repository's retention policy.
	pin = "kando"
)

// Snapshot is what `kando location push` hands on as an output and `pull` and
// `delete` take as --kopia-snapshot. The JSON is Kanister's.
type Snapshot struct {
	ID string `json:"id"`
	// LogicalSize is the size of the data in bytes.
	LogicalSize int64 `json:"logicalSize"`
	// PhysicalSize is always 0, as with Kanister.
	PhysicalSize int64 `json:"physicalSize"`
	// Root is the object of the snapshot's root.
	Root string `json:"-"`
}

// ParseSnapshot reads the JSON of a Snapshot.
func ParseSnapshot(text string) (Snapshot, error) {
	var s Snapshot
	if err := json.Unmarshal([]byte(text), &s); err != nil || s.ID == "" {
		return s, errors.New(`it is not the JSON that location push gave as its output, {"id":"…",…}`)
	}
	return s, nil
}

// manifest is what kopia says of a snapshot.
type manifest struct {
	ID        string `json:"id"`
	RootEntry struct {
		Object  string `json:"obj"`
		Size    int64  `json:"size"`
		Summary *struct {
			Size   int64 `json:"size"`
			Failed int   `json:"numFailed"`
		} `json:"summ"`
	} `json:"rootEntry"`
	Incomplete string `json:"incomplete"`
}

// Place splits the path of a stream into the directory a snapshot is of and the
// name of its one file.
func Place(name string) (dir, file string) {
	clean := path.Clean("/" + name)
	dir, file = path.Dir(clean), path.Base(clean)
	if dir == "/" {
		dir = defaultDir
	}
	return dir, file
}

// PushStream stores what in holds, to its end, as the file of that name in a
// snapshot of dir.
func (r *Repository) PushStream(ctx context.Context, dir, file string, in io.Reader) (Snapshot, error) {
	return r.create(ctx, in, dir, "--stdin-file="+file)
}

// PushPath stores a file or a directory.
func (r *Repository) PushPath(ctx context.Context, name string) (Snapshot, error) {
	absolute, err := filepath.Abs(name)
	if err != nil {
		return Snapshot{}, err
	}
	return r.create(ctx, nil, absolute)
}

func (r *Repository) create(ctx context.Context, in io.Reader, source string, more ...string) (Snapshot, error) {
	var out bytes.Buffer
	args := append([]string{"snapshot", "create", "--json", "--no-progress", "--pin=" + pin, "--description=Stored by kando"}, more...)
	if err := r.run(ctx, call{args: append(args, source), stdin: in, stdout: &out}); err != nil {
		return Snapshot{}, err
	}
	var m manifest
	if err := json.Unmarshal(out.Bytes(), &m); err != nil || m.ID == "" {
		return Snapshot{}, fmt.Errorf("kopia snapshot create did not tell its snapshot; this kando knows kopia 0.17 and newer: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	s := Snapshot{ID: m.ID, LogicalSize: m.RootEntry.Size, Root: m.RootEntry.Object}
	if sum := m.RootEntry.Summary; sum != nil {
		s.LogicalSize = sum.Size
		if sum.Failed > 0 {
			return s, fmt.Errorf("kopia could not read %d files; snapshot %s lacks them", sum.Failed, s.ID)
		}
	}
	if m.Incomplete != "" {
		return s, fmt.Errorf("kopia stored snapshot %s in part only: %s", s.ID, m.Incomplete)
	}
	return s, nil
}

// PullStream writes the file of a snapshot that PushStream made to w.
func (r *Repository) PullStream(ctx context.Context, id, file string, w io.Writer) error {
	var out bytes.Buffer
	if err := r.run(ctx, call{args: []string{"manifest", "show", id}, stdout: &out}); err != nil {
		return err
	}
	_, text, _ := bytes.Cut(out.Bytes(), []byte("{")) // comments are before it
	var m manifest
	if err := json.Unmarshal(append([]byte("{"), text...), &m); err != nil || m.RootEntry.Object == "" {
		return fmt.Errorf("kopia does not tell the root of snapshot %s: %w", id, errors.Join(err, io.ErrUnexpectedEOF))
	}
	object := m.RootEntry.Object
	if m.RootEntry.Summary != nil { // a directory; else the file itself was stored
		object += "/" + file
	}
	return r.run(ctx, call{args: []string{"show", object}, stdout: w})
}

// PullPath restores a snapshot to target: a file to a file, a directory to a
// directory.
func (r *Repository) PullPath(ctx context.Context, id, target string) error {
	absolute, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	return r.run(ctx, call{args: []string{"snapshot", "restore", "--no-progress", id, absolute}})
}

// Delete removes a snapshot. One that is not there is no error, so that a delete
// action can be repeated.
func (r *Repository) Delete(ctx context.Context, id string) error {
	err := r.run(ctx, call{args: []string{"manifest", "show", id}, stdout: io.Discard})
	if err == nil {
		return r.run(ctx, call{args: []string{"snapshot", "delete", "--delete", id}, stdout: io.Discard})
	}
	// Kopia's words, of a repository server and of a repository of its own.
	_, why, known := strings.Cut(err.Error(), "getting metadata for \""+id+"\":")
	if known && strings.Contains(why, "not found") {
		return nil
	}
	return err
}
