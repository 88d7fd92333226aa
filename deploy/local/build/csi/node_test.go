package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
)

// A volume is mounted where it is wanted, once however often it is asked for, and
// what is written there is in the volume. It needs root.
func TestPublish(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	kept, err := openStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.volumes.add(t.Context(), "v", item{Name: "v"}, ""); err != nil {
		t.Fatal(err)
	}
	n, target := node{name: "n", store: kept}, filepath.Join(t.TempDir(), "pods", "mount")
	for _, readonly := range []bool{false, true} {
		t.Cleanup(func() {
			_, _ = n.NodeUnpublishVolume(context.Background(), &csi.NodeUnpublishVolumeRequest{VolumeId: "v", TargetPath: target})
		})
		for range 2 {
			_, err := n.NodePublishVolume(t.Context(), &csi.NodePublishVolumeRequest{
				VolumeId: "v", TargetPath: target, Readonly: readonly, VolumeCapability: &csi.VolumeCapability{},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		err := os.WriteFile(filepath.Join(target, "file"), []byte("x"), 0o600)
		if (err != nil) != readonly {
			t.Fatalf("write with readonly %t: %v", readonly, err)
		}
		for range 2 {
			if _, err := n.NodeUnpublishVolume(t.Context(), &csi.NodeUnpublishVolumeRequest{VolumeId: "v", TargetPath: target}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(target); !os.IsNotExist(err) {
			t.Fatalf("the target is left: %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(kept.volumes.content("v"), "file")); err != nil {
		t.Fatal(err)
	}
}
