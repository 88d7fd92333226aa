// Package locationdelete has the function LocationDelete: it deletes what is stored at
// a path of the profile's store and below it. Doing it again finds nothing, which is no
// error.
//
// # The path
//
// Blueprints such as time-log give the path with the bucket's name before it, because
// that is how the restic functions take theirs: "bucket/time-log" is the object
// time-log and all that is below time-log/. The profile's prefix goes before it.
//
// Kanister takes the bucket's name off as text, so that "backups-old/x" in the bucket
// backups becomes "-old/x"; here it is taken off as a whole first element only.
// Kanister then deletes every key that begins with the rest as text, so that deleting
// "run-1" takes "run-10" along, which belongs to another backup; nothing that a
// blueprint stored with the same path is ever outside of path and path/, so only those
// are deleted here. An empty path, which in Kanister empties the bucket, is refused.
//
// So is a profile of type filestore: its directory is one of a task's pod, while the
// function runs in the runner, whose own files have the same paths.
package locationdelete

import (
	"context"
	"errors"
	"strings"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/location"
	"github.com/salvor-io/salvor/internal/profile"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// New returns the function for one call.
func New() function.Function { return locationDelete{} }

type locationDelete struct{}

// Execute deletes. It publishes nothing.
func (locationDelete) Execute(ctx context.Context, call *function.Call) (_ map[string]any, err error) {
	var args struct {
		Artifact string `arg:"required" mapstructure:"artifact"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	p, err := call.Values.Profile()
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, function.Errorf(event.ReasonInvalid, "the action has no profile, so it is not known where artifact is; set profile in the ActionSet")
	}
	if p.Location.Type == profile.LocationFilestore {
		return nil, function.Errorf(event.ReasonInvalid,
			"the profile's location type filestore is a directory of a task's pod, and LocationDelete runs in Salvor's own; delete with kando in a KubeTask that mounts the directory")
	}
	path := inBucket(args.Artifact, p.Location.Bucket)
	if strings.Trim(path, "/. ") == "" {
		return nil, function.Errorf(event.ReasonInvalid, "argument artifact names no object or folder in the bucket; the whole bucket is not deleted")
	}
	if err := call.MayUse(p.Credential); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	store, err := location.Open(ctx, p)
	if err != nil {
		return nil, &function.Error{Reason: event.ReasonInvalid, Err: err}
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	deleted, err := store.Delete(ctx, path)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	call.Log.Info().Str("path", path).Int("objects", deleted).Msg("deleted from the store")
	return nil, nil
}

// inBucket takes the name of the bucket off, if it is the first element.
func inBucket(artifact, bucket string) string {
	if rest, found := strings.CutPrefix(artifact, bucket); found && (rest == "" || rest[0] == '/') && bucket != "" {
		return rest
	}
	return artifact
}
