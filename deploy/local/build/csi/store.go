package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// store is what there is below the root.
type store struct {
	volumes, snapshots shelf
}

// shelf is a folder of items of one kind.
type shelf struct {
	dir string
	// mu is held by whoever makes or deletes one: a call that is repeated while the
	// first copies waits for it, and finds the work done.
	mu *sync.Mutex
}

// item is a volume or a snapshot.
type item struct {
	// Name is what the caller calls it.
	Name string `json:"name"`
	// Size is what was asked for, in bytes; nothing enforces it.
	Size int64 `json:"size"`
	// Source is the id of what it was copied from.
	Source string    `json:"source,omitempty"`
	Made   time.Time `json:"made"`
}

func openStore(root string) (store, error) {
	s := store{
		volumes:   shelf{dir: filepath.Join(root, "volumes"), mu: &sync.Mutex{}},
		snapshots: shelf{dir: filepath.Join(root, "snapshots"), mu: &sync.Mutex{}},
	}
	return s, errors.Join(os.MkdirAll(s.volumes.dir, 0o755), os.MkdirAll(s.snapshots.dir, 0o755))
}

var plain = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}$`)

// idOf is the id of what has the name: the name itself, if a file can be called so.
func idOf(name string) string {
	if plain.MatchString(name) {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return "x-" + hex.EncodeToString(sum[:16])
}

// content is the folder of an item.
func (s shelf) content(id string) string { return filepath.Join(s.dir, id) }

func (s shelf) note(id, kind string) string { return filepath.Join(s.dir, id+"."+kind) }

// get reads what an item is. The error is os.ErrNotExist when there is none.
func (s shelf) get(id string) (item, error) {
	if !plain.MatchString(id) {
		return item{}, os.ErrNotExist
	}
	content, err := os.ReadFile(s.note(id, "json"))
	if err != nil {
		return item{}, err
	}
	var found item
	if err := json.Unmarshal(content, &found); err != nil {
		return item{}, fmt.Errorf("read what %s is: %w", id, err)
	}
	return found, nil
}

// add makes an item with the content of the folder from, or with none.
func (s shelf) add(ctx context.Context, id string, what item, from string) error {
	if err := os.RemoveAll(s.content(id)); err != nil { // of a call that was cut short
		return err
	}
	if from == "" {
		// Whatever the user of a pod is.
		if err := errors.Join(os.Mkdir(s.content(id), 0o777), os.Chmod(s.content(id), 0o777)); err != nil {
			return err
		}
	} else if err := duplicate(ctx, from, s.content(id)); err != nil {
		return err
	}
	content, err := json.Marshal(what)
	if err != nil {
		return err
	}
	aside := s.note(id, "new")
	if err := os.WriteFile(aside, content, 0o644); err != nil {
		return err
	}
	return os.Rename(aside, s.note(id, "json"))
}

// duplicate copies a folder with everything that a file system knows of it. It
// goes on when the caller has given up: the caller will ask again.
func duplicate(ctx context.Context, from, to string) error {
	said, err := exec.CommandContext(context.WithoutCancel(ctx), "cp", "--archive", "--reflink=auto", from, to).CombinedOutput()
	if err != nil {
		return fmt.Errorf("copy %s: %w: %s", from, err, said)
	}
	return nil
}

// remove deletes an item; one that is not there is deleted.
func (s shelf) remove(id string) error {
	if !plain.MatchString(id) {
		return nil
	}
	// First what says that it is there.
	for _, kind := range []string{"json", "new", "hold", "fail"} {
		if err := os.Remove(s.note(id, kind)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return os.RemoveAll(s.content(id))
}

// list returns the ids of all items, in order.
func (s shelf) list() ([]string, error) {
	notes, err := filepath.Glob(filepath.Join(s.dir, "*.json"))
	if err != nil {
		return nil, err
	}
	ids := make([]string, 0, len(notes))
	for _, note := range notes {
		name := filepath.Base(note)
		ids = append(ids, name[:len(name)-len(".json")])
	}
	return ids, nil
}
