package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/deploy/local/layout"
)

func TestWriteTar(t *testing.T) {
	source := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(source, []byte("binary"), 0o600))
	entries := []Entry{
		{Path: "usr/local/bin/program", Mode: 0o755, Source: source},
		{Path: "usr/local/bin/other", Mode: 0o777, Link: "program"},
		{Path: "tmp", Mode: 0o1777, Dir: true},
		{Path: "home/x", Mode: 0o700, Dir: true, Owner: 7},
		{Path: "etc/passwd", Mode: 0o644, Content: []byte("root")},
	}
	var first, second bytes.Buffer
	require.NoError(t, writeTar(&first, entries))
	require.NoError(t, writeTar(&second, entries))
	require.Equal(t, first.Bytes(), second.Bytes(), "the same entries make the same layer")

	var names []string
	contents := map[string]string{}
	for reader := tar.NewReader(&first); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		names = append(names, header.Name)
		content, err := io.ReadAll(reader)
		require.NoError(t, err)
		contents[header.Name] = string(content)
		switch header.Name {
		case "home/x/":
			require.Equal(t, 7, header.Uid)
		case "usr/local/bin/other":
			require.Equal(t, "program", header.Linkname)
		case "tmp/":
			require.Equal(t, int64(0o1777), header.Mode)
		}
	}
	require.Equal(t, []string{
		"usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/program", "usr/local/bin/other",
		"tmp/", "home/", "home/x/", "etc/", "etc/passwd",
	}, names, "each folder once and before what is in it")
	require.Equal(t, "binary", contents["usr/local/bin/program"])
}

func TestLayersAreCachedByContent(t *testing.T) {
	dir := t.TempDir()
	one := []Entry{{Path: "x", Mode: 0o644, Content: []byte("1")}}
	first, err := files(dir, one)
	require.NoError(t, err)
	again, err := files(dir, one)
	require.NoError(t, err)
	require.Equal(t, first, again)
	other, err := files(dir, []Entry{{Path: "x", Mode: 0o755, Content: []byte("1")}})
	require.NoError(t, err)
	require.NotEqual(t, first.Hash, other.Hash)

	t.Run("a layer that was cut short is made again", func(t *testing.T) {
		require.NoError(t, os.Truncate(first.path, 10))
		mended, err := files(dir, one)
		require.NoError(t, err)
		require.Equal(t, first.Hash, mended.Hash)
		info, err := os.Stat(mended.path)
		require.NoError(t, err)
		require.Equal(t, mended.Len, info.Size())
	})
}

func TestPruneKeepsWhatWasUsed(t *testing.T) {
	dir := t.TempDir()
	old, err := files(dir, []Entry{{Path: "old", Content: []byte("1")}})
	require.NoError(t, err)
	entries := []Entry{{Path: "kept", Content: []byte("1")}}
	kept, err := files(dir, entries)
	require.NoError(t, err)
	past := time.Now().Add(-time.Hour)
	for _, l := range []*layer{old, kept} {
		note := strings.TrimSuffix(l.path, ".tar") + ".json"
		require.NoError(t, os.Chtimes(note, past, past))
	}
	begin := time.Now().Add(-time.Minute)
	_, err = files(dir, entries) // used again
	require.NoError(t, err)
	require.NoError(t, Prune(dir, begin))
	require.NoFileExists(t, old.path)
	require.FileExists(t, kept.path)
}

func TestDefinitionBuildsAValidImage(t *testing.T) {
	sources := Sources{Layout: layout.Layout{Repo: t.TempDir()}}
	definition := Definition{
		Refs: []string{"example.org/x:1"}, User: "65532:65532", Ports: []string{"80/tcp"}, Entrypoint: []string{"/x"},
		Files: func(context.Context, Sources) ([]Entry, error) {
			return append(users(), Entry{Path: "x", Mode: 0o755, Content: []byte("x")}), nil
		},
	}
	image, err := definition.build(t.Context(), sources)
	require.NoError(t, err)
	require.NoError(t, validate.Image(image, validate.Fast)) // the thorough one takes layers for compressed
	config, err := image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "linux", config.OS)
	require.Equal(t, "65532:65532", config.Config.User)
	require.Contains(t, config.Config.ExposedPorts, "80/tcp")

	tag, err := name.NewTag(definition.Refs[0])
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "image.tar")
	require.NoError(t, tarball.WriteToFile(path, tag, image))
	read, err := tarball.ImageFromPath(path, &tag)
	require.NoError(t, err)
	want, err := image.ConfigName()
	require.NoError(t, err)
	got, err := read.ConfigName()
	require.NoError(t, err)
	require.Equal(t, want, got, "what containerd reads is what was built")
}

func TestMissingSourceIsToldApart(t *testing.T) {
	sources := Sources{Layout: layout.Layout{Repo: t.TempDir()}}
	_, err := sources.command(t.Context(), "kando")
	require.ErrorIs(t, err, ErrNoSource)
	_, err = sources.tool("coredns")
	require.ErrorContains(t, err, "run `make kubernetes`")
}

func TestVersionIsWhatGitSays(t *testing.T) {
	repo := t.TempDir()
	require.Equal(t, "dev", version(t.Context(), repo), "sources without git")
	for _, args := range [][]string{{"init", "-q"}, {"commit", "-q", "--allow-empty", "-m", "x"}, {"tag", "v1.2.3"}} {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", repo, "-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)...)
		require.NoError(t, cmd.Run(), args)
	}
	require.Equal(t, "v1.2.3", version(t.Context(), repo))
}

func TestNamesAreCompleteAndUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, definition := range append(Base(), Product()...) {
		for _, ref := range definition.Refs {
			tag, err := name.NewTag(ref, name.StrictValidation)
			require.NoError(t, err, ref)
			require.NotEmpty(t, tag.TagStr())
			require.False(t, seen[ref], ref)
			seen[ref] = true
		}
	}
}
