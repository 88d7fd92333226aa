package images

import (
	"context"
	"fmt"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Definition says what an image is.
type Definition struct {
	Refs       []string // the names it gets, complete with registry and tag
	Debian     []string // packages of the root file system it stands on; none for no system
	Files      func(ctx context.Context, s Sources) ([]Entry, error)
	Entrypoint []string
	Cmd        []string
	Env        []string
	User       string
	Ports      []string
	Workdir    string
}

const defaultPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// build makes the image from its layers in the cache.
func (d Definition) build(ctx context.Context, s Sources) (v1.Image, error) {
	var layers []v1.Layer
	if len(d.Debian) > 0 {
		base, err := debian(ctx, s, d.Debian)
		if err != nil {
			return nil, err
		}
		layers = append(layers, base)
	}
	entries, err := d.Files(ctx, s)
	if err != nil {
		return nil, err
	}
	own, err := files(s.Cache(), entries)
	if err != nil {
		return nil, fmt.Errorf("write a layer: %w", err)
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err = mutate.AppendLayers(image, append(layers, own)...)
	if err != nil {
		return nil, fmt.Errorf("put the layers together: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = d.config()
	return mutate.ConfigFile(image, config)
}

func (d Definition) config() v1.Config {
	ports := map[string]struct{}{}
	for _, port := range d.Ports {
		ports[port] = struct{}{}
	}
	return v1.Config{
		Entrypoint:   d.Entrypoint,
		Cmd:          d.Cmd,
		Env:          append([]string{defaultPath}, d.Env...),
		User:         d.User,
		ExposedPorts: ports,
		WorkingDir:   d.Workdir,
	}
}
