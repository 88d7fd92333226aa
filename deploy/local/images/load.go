package images

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/salvor-io/salvor/deploy/local/layout"
	"github.com/salvor-io/salvor/deploy/local/progress"
)

// Loader builds images and gives them to the cluster's containerd.
type Loader struct {
	Layout   layout.Layout
	Progress *progress.Printer
}

// Load builds and imports what containerd does not have yet. An image whose
// program is not in this checkout is passed over with a line saying so. Images
// next to each other that stand on one root file system are imported together,
// so that it is read once.
func (l Loader) Load(ctx context.Context, definitions []Definition) error {
	for len(definitions) > 0 {
		first := definitions[0]
		end := 1
		for len(first.Debian) > 0 && end < len(definitions) && slices.Equal(first.Debian, definitions[end].Debian) {
			end++
		}
		if err := l.group(ctx, definitions[:end]); err != nil {
			return err
		}
		definitions = definitions[end:]
	}
	return nil
}

func (l Loader) group(ctx context.Context, definitions []Definition) error {
	title := "image " + definitions[0].Refs[0]
	if more := len(definitions) - 1; more > 0 {
		title += fmt.Sprintf(" and %d more", more)
	}
	return l.Progress.Step(ctx, title, func(ctx context.Context) error {
		images := map[string]v1.Image{}
		for _, definition := range definitions {
			image, err := definition.build(ctx, Sources{Layout: l.Layout})
			if errors.Is(err, ErrNoSource) {
				return progress.Skipped("skipped: " + err.Error())
			}
			if err != nil {
				return err
			}
			for _, ref := range definition.Refs {
				images[ref] = image
			}
		}
		return l.load(ctx, images)
	})
}

// load imports the images, by their names, that containerd does not have.
func (l Loader) load(ctx context.Context, images map[string]v1.Image) error {
	loaded, err := l.loaded(ctx)
	if err != nil {
		return err
	}
	for ref, image := range images {
		id, err := image.ConfigName()
		if err != nil {
			return err
		}
		if loaded[ref] == id.String() {
			delete(images, ref)
		}
		loaded[ref] = id.String()
	}
	if len(images) == 0 {
		return progress.Skipped("up to date")
	}
	if err := l.pipe(ctx, images); err != nil {
		return err
	}
	content, err := json.MarshalIndent(loaded, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(l.note(), content, 0o644)
}

// note lies with the cluster's state, as containerd's store does: they come
// and go together.
func (l Loader) note() string { return filepath.Join(l.Layout.State(), "images.json") }

// loaded returns which image each name stands for in containerd's store.
func (l Loader) loaded(ctx context.Context) (map[string]string, error) {
	said, err := l.ctr(ctx, "images", "list", "-q").Output()
	if err != nil {
		return nil, fmt.Errorf("ask containerd for its images: %w; is the cluster up? (`make cluster`)", err)
	}
	present := strings.Fields(string(said))
	noted := map[string]string{}
	content, err := os.ReadFile(l.note())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err == nil {
		if err := json.Unmarshal(content, &noted); err != nil {
			noted = map[string]string{} // cut short by a crash: import again
		}
	}
	for ref := range noted {
		if !slices.Contains(present, ref) {
			delete(noted, ref)
		}
	}
	return noted, nil
}

// pipe streams the images into containerd without a copy on disk.
func (l Loader) pipe(ctx context.Context, images map[string]v1.Image) error {
	named := map[name.Reference]v1.Image{}
	for ref, image := range images {
		tag, err := name.NewTag(ref)
		if err != nil {
			return fmt.Errorf("name of an image: %w", err)
		}
		named[tag] = image
	}
	reader, writer := io.Pipe()
	cmd := l.ctr(ctx, "images", "import", "-")
	cmd.Stdin = reader
	wrote := make(chan error, 1)
	go func() {
		err := tarball.MultiRefWrite(named, writer)
		wrote <- errors.Join(err, writer.CloseWithError(err))
	}()
	said, err := cmd.CombinedOutput()
	// When ctr ended early the writer must not wait for a reader.
	reader.CloseWithError(io.ErrClosedPipe)
	if writeErr := <-wrote; err != nil || writeErr != nil {
		return fmt.Errorf("import into containerd: %w\n%s", errors.Join(err, writeErr), said)
	}
	return nil
}

func (l Loader) ctr(ctx context.Context, args ...string) *exec.Cmd {
	all := append([]string{"--address", l.Layout.Containerd(), "--namespace", "k8s.io"}, args...)
	return exec.CommandContext(ctx, l.Layout.Program("ctr"), all...)
}
