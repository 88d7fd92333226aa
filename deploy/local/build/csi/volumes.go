package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// controller makes and deletes volumes and snapshots.
type controller struct {
	csi.UnimplementedControllerServer
	store store
}

const defaultSize = 1 << 30

func (*controller) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	answer := &csi.ControllerGetCapabilitiesResponse{}
	for _, what := range []csi.ControllerServiceCapability_RPC_Type{
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
		csi.ControllerServiceCapability_RPC_CREATE_DELETE_SNAPSHOT,
		csi.ControllerServiceCapability_RPC_LIST_SNAPSHOTS,
	} {
		answer.Capabilities = append(answer.Capabilities, &csi.ControllerServiceCapability{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{Type: what}},
		})
	}
	return answer, nil
}

func (c *controller) CreateVolume(ctx context.Context, ask *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if ask.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume needs a name")
	}
	if err := supported(ask.GetVolumeCapabilities()); err != nil {
		return nil, err
	}
	c.store.volumes.mu.Lock()
	defer c.store.volumes.mu.Unlock()
	id, size := idOf(ask.GetName()), sizeOf(ask.GetCapacityRange())
	made, err := c.store.volumes.get(id)
	if errors.Is(err, os.ErrNotExist) {
		made, err = c.makeVolume(ctx, id, size, ask)
	}
	if err != nil {
		return nil, asStatus(err)
	}
	if limit := ask.GetCapacityRange().GetLimitBytes(); made.Size < size || limit > 0 && made.Size > limit {
		return nil, status.Errorf(codes.AlreadyExists, "volume %s is there with %d bytes", id, made.Size)
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{
		VolumeId: id, CapacityBytes: made.Size, ContentSource: ask.GetVolumeContentSource(),
	}}, nil
}

// makeVolume makes an empty volume, or one from a snapshot.
func (c *controller) makeVolume(ctx context.Context, id string, size int64, ask *csi.CreateVolumeRequest) (item, error) {
	what := item{Name: ask.GetName(), Size: size, Made: time.Now()}
	var from string
	if source := ask.GetVolumeContentSource(); source != nil {
		snapshot := source.GetSnapshot()
		if snapshot == nil {
			return item{}, status.Error(codes.InvalidArgument, "a volume can be made from a snapshot only")
		}
		what.Source = snapshot.GetSnapshotId()
		kept, err := c.store.snapshots.get(what.Source)
		if errors.Is(err, os.ErrNotExist) {
			return item{}, status.Errorf(codes.NotFound, "there is no snapshot %s", what.Source)
		}
		if err != nil {
			return item{}, err
		}
		if size < kept.Size {
			return item{}, status.Errorf(codes.OutOfRange, "the volume has %d bytes, the snapshot needs %d", size, kept.Size)
		}
		from = c.store.snapshots.content(what.Source)
	}
	return what, c.store.volumes.add(ctx, id, what, from)
}

func (c *controller) DeleteVolume(_ context.Context, ask *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if ask.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "which volume is not said")
	}
	c.store.volumes.mu.Lock()
	defer c.store.volumes.mu.Unlock()
	if err := c.store.volumes.remove(ask.GetVolumeId()); err != nil {
		return nil, asStatus(err)
	}
	return &csi.DeleteVolumeResponse{}, nil
}

func (c *controller) ValidateVolumeCapabilities(_ context.Context, ask *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if ask.GetVolumeId() == "" || len(ask.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "the volume and what it shall be capable of are needed")
	}
	if _, err := c.store.volumes.get(ask.GetVolumeId()); err != nil {
		return nil, asStatus(err)
	}
	if err := supported(ask.GetVolumeCapabilities()); err != nil {
		return &csi.ValidateVolumeCapabilitiesResponse{Message: err.Error()}, nil //nolint:nilerr // it is the answer
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: ask.GetVolumeCapabilities()},
	}, nil
}

// supported refuses what a folder cannot be.
func supported(capabilities []*csi.VolumeCapability) error {
	if len(capabilities) == 0 {
		return status.Error(codes.InvalidArgument, "what the volume shall be capable of is not said")
	}
	for _, capability := range capabilities {
		if capability.GetBlock() != nil {
			return status.Error(codes.InvalidArgument, "a volume of this driver is a folder and no block device")
		}
	}
	return nil
}

func sizeOf(asked *csi.CapacityRange) int64 {
	if asked.GetRequiredBytes() > 0 {
		return asked.GetRequiredBytes()
	}
	if limit := asked.GetLimitBytes(); limit > 0 && limit < defaultSize {
		return limit
	}
	return defaultSize
}

// asStatus gives an error the code that its kind has.
func asStatus(err error) error {
	if _, known := status.FromError(err); known {
		return err
	}
	if errors.Is(err, os.ErrNotExist) {
		return status.Error(codes.NotFound, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}
