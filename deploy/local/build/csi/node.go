package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// node puts volumes where the kubelet wants them.
type node struct {
	csi.UnimplementedNodeServer
	name  string
	store store
}

func (n node) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: n.name}, nil
}

func (node) NodeGetCapabilities(context.Context, *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

// NodePublishVolume mounts the volume's folder at the target. It runs in the mount
// namespace of the kubelet, so what it mounts is seen where pods are made.
func (n node) NodePublishVolume(_ context.Context, ask *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	target := ask.GetTargetPath()
	if ask.GetVolumeId() == "" || target == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume and where to mount it are needed")
	}
	if err := supported([]*csi.VolumeCapability{ask.GetVolumeCapability()}); err != nil {
		return nil, err
	}
	if _, err := n.store.volumes.get(ask.GetVolumeId()); err != nil {
		return nil, asStatus(err)
	}
	mounted, err := isMount(target)
	if err == nil && !mounted {
		err = bind(n.store.volumes.content(ask.GetVolumeId()), target, ask.GetReadonly())
	}
	if err != nil {
		return nil, asStatus(err)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

func bind(from, target string, readonly bool) error {
	if err := os.MkdirAll(target, 0o750); err != nil {
		return err
	}
	if err := unix.Mount(from, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", from, target, err)
	}
	if !readonly {
		return nil
	}
	// A bind mount takes flags when it is mounted again only.
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return errors.Join(fmt.Errorf("make %s read-only: %w", target, err), unix.Unmount(target, 0))
	}
	return nil
}

// isMount reports whether something is mounted at the path.
func isMount(path string) (bool, error) {
	var info unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &info)
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return info.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0, err
}

func (node) NodeUnpublishVolume(_ context.Context, ask *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	target := ask.GetTargetPath()
	if ask.GetVolumeId() == "" || target == "" {
		return nil, status.Error(codes.InvalidArgument, "the volume and where it is mounted are needed")
	}
	mounted, err := isMount(target)
	if err == nil && mounted {
		err = unix.Unmount(target, 0)
	}
	if err != nil {
		return nil, asStatus(fmt.Errorf("unmount %s: %w", target, err))
	}
	// Not with what is in it: if it still is mounted, that is the volume.
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, asStatus(err)
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}
