package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func (c *controller) CreateSnapshot(ctx context.Context, ask *csi.CreateSnapshotRequest) (*csi.CreateSnapshotResponse, error) {
	source := ask.GetSourceVolumeId()
	if ask.GetName() == "" || source == "" {
		return nil, status.Error(codes.InvalidArgument, "a snapshot needs a name and a volume")
	}
	c.store.snapshots.mu.Lock()
	defer c.store.snapshots.mu.Unlock()
	id := idOf(ask.GetName())
	made, err := c.store.snapshots.get(id)
	if errors.Is(err, os.ErrNotExist) {
		made, err = c.takeSnapshot(ctx, id, ask)
	}
	if err != nil {
		return nil, asStatus(err)
	}
	if made.Source != source {
		return nil, status.Errorf(codes.AlreadyExists, "snapshot %s is there, of volume %s", id, made.Source)
	}
	return &csi.CreateSnapshotResponse{Snapshot: c.snapshot(id, made)}, nil
}

func (c *controller) takeSnapshot(ctx context.Context, id string, ask *csi.CreateSnapshotRequest) (item, error) {
	volumes := c.store.volumes
	volume, err := volumes.get(ask.GetSourceVolumeId())
	if err != nil {
		return item{}, err
	}
	switch why, err := os.ReadFile(volumes.note(ask.GetSourceVolumeId(), "fail")); {
	case err == nil:
		return item{}, failure(string(why))
	case !errors.Is(err, os.ErrNotExist):
		return item{}, err
	}
	what := item{Name: ask.GetName(), Size: volume.Size, Source: ask.GetSourceVolumeId(), Made: time.Now()}
	return what, c.store.snapshots.add(ctx, id, what, volumes.content(ask.GetSourceVolumeId()))
}

// failure is the error that a file asks for: with the code that it begins with, as in
// "UNAVAILABLE: it restarts", if it does.
func failure(why string) error {
	why = strings.TrimSpace(why)
	code := codes.Internal
	word, rest, found := strings.Cut(why, ": ")
	if found && code.UnmarshalJSON([]byte(strconv.Quote(word))) == nil {
		why = rest
	}
	return status.Error(code, why)
}

func (c *controller) DeleteSnapshot(_ context.Context, ask *csi.DeleteSnapshotRequest) (*csi.DeleteSnapshotResponse, error) {
	if ask.GetSnapshotId() == "" {
		return nil, status.Error(codes.InvalidArgument, "which snapshot is not said")
	}
	c.store.snapshots.mu.Lock()
	defer c.store.snapshots.mu.Unlock()
	if err := c.store.snapshots.remove(ask.GetSnapshotId()); err != nil {
		return nil, asStatus(err)
	}
	return &csi.DeleteSnapshotResponse{}, nil
}

// ListSnapshots lists all of them, those of a volume, or one. A page begins after
// the id that the token names.
func (c *controller) ListSnapshots(_ context.Context, ask *csi.ListSnapshotsRequest) (*csi.ListSnapshotsResponse, error) {
	ids, err := c.store.snapshots.list()
	if err != nil {
		return nil, asStatus(err)
	}
	answer := &csi.ListSnapshotsResponse{}
	if after := ask.GetStartingToken(); after != "" {
		at, found := slices.BinarySearch(ids, after)
		if !found {
			return nil, status.Errorf(codes.Aborted, "there is no snapshot %s any more to begin after", after)
		}
		ids = ids[at+1:]
	}
	for _, id := range ids {
		made, err := c.store.snapshots.get(id)
		if errors.Is(err, os.ErrNotExist) || !matches(ask, id, made) {
			continue
		}
		if err != nil {
			return nil, asStatus(err)
		}
		if most := int(ask.GetMaxEntries()); most > 0 && len(answer.Entries) == most {
			answer.NextToken = answer.GetEntries()[most-1].GetSnapshot().GetSnapshotId()
			break
		}
		answer.Entries = append(answer.Entries, &csi.ListSnapshotsResponse_Entry{Snapshot: c.snapshot(id, made)})
	}
	return answer, nil
}

func matches(ask *csi.ListSnapshotsRequest, id string, made item) bool {
	return (ask.GetSnapshotId() == "" || ask.GetSnapshotId() == id) &&
		(ask.GetSourceVolumeId() == "" || ask.GetSourceVolumeId() == made.Source)
}

func (c *controller) snapshot(id string, made item) *csi.Snapshot {
	_, err := os.Stat(c.store.volumes.note(made.Source, "hold"))
	return &csi.Snapshot{
		SnapshotId: id, SourceVolumeId: made.Source, SizeBytes: made.Size,
		CreationTime: timestamppb.New(made.Made), ReadyToUse: errors.Is(err, os.ErrNotExist),
	}
}
