// Package layout says where everything of the local cluster lives: below
// .local of the repository, so that removing that folder removes all of it,
// and in one folder under /run for the sockets, whose paths may not be long.
package layout

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Run holds the sockets and mounts of containerd. There is one cluster per
// machine: its bridge, ports and nft tables exist once too.
const Run = "/run/salvor-local"

// Layout is the set of folders of one checkout.
type Layout struct {
	Repo string // the repository's root
}

// Find returns the layout of the repository that dir lies in.
func Find(dir string) (Layout, error) {
	for at := dir; ; at = filepath.Dir(at) {
		content, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && bytes.Contains(content, []byte("module github.com/salvor-io/salvor\n")) {
			return Layout{Repo: at}, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return Layout{}, fmt.Errorf("find the repository: %w", err)
		}
		if at == filepath.Dir(at) {
			return Layout{}, fmt.Errorf("%s does not lie in the Salvor repository; change into it or pass --repo", dir)
		}
	}
}

// Bin holds the programs that were built.
func (l Layout) Bin() string { return filepath.Join(l.Repo, ".local", "bin") }

// Program is the path of one program that was built.
func (l Layout) Program(name string) string { return filepath.Join(l.Bin(), name) }

// Node holds what npm installed for one component.
func (l Layout) Node(name string) string { return filepath.Join(l.Repo, ".local", "node", name) }

// Images holds the layers that were built.
func (l Layout) Images() string { return filepath.Join(l.Repo, ".local", "images") }

// State holds all that belongs to the running cluster; down removes it.
func (l Layout) State() string { return filepath.Join(l.Repo, ".local", "cluster") }

// Kubeconfig is the administrator's kubeconfig.
func (l Layout) Kubeconfig() string { return filepath.Join(l.Repo, ".local", "kubeconfig") }

// Sources holds the modules that pin what is built.
func (l Layout) Sources() string { return filepath.Join(l.Repo, "deploy", "local", "build") }

// ImageSources holds the files that go into images as they are.
func (l Layout) ImageSources() string { return filepath.Join(l.Repo, "deploy", "images") }

// Manifests holds what up applies to the cluster.
func (l Layout) Manifests() string { return filepath.Join(l.Repo, "deploy", "local", "manifests") }

// Containerd is the path of containerd's socket.
func (l Layout) Containerd() string { return filepath.Join(Run, "containerd.sock") }
