package rds

import (
	"context"
	"fmt"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// busyLimit is how long a database may be in a state in which no snapshot can be taken:
// another backup runs, it is being changed.
const busyLimit = 20 * time.Minute

// NewCreate returns CreateRDSSnapshot for one call.
func NewCreate() function.Function { return create{} }

// NewDelete returns DeleteRDSSnapshot for one call.
func NewDelete() function.Function { return remove{} }

type create struct{}

// Execute takes the snapshot and waits until it can be used.
func (create) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		credentials `mapstructure:",squash"`

		Instance string `arg:"required"       mapstructure:"instanceID"`
		Engine   string `mapstructure:"dbEngine"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := empty(map[string]string{"instanceID": args.Instance}); err != nil {
		return nil, err
	}
	s, err := open(ctx, call, &args.credentials)
	if err != nil {
		return nil, err
	}
	k := s.kind(args.Engine)
	of, err := k.database(ctx, args.Instance)
	if err == nil && of == nil {
		err = function.Errorf(event.ReasonNotFound, "it does not exist in this account and region")
	}
	if err != nil {
		return nil, s.fail(ctx, err, "%s %s", k.what(), args.Instance)
	}
	taken, err := s.take(ctx, k, s.named(args.Instance), args.Instance)
	if err != nil {
		return nil, s.fail(ctx, err, "snapshot of %s %s", k.what(), args.Instance)
	}
	groups, err := toYAML(of.groups)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"snapshotID": taken.id, "instanceID": args.Instance, "securityGroupID": groups,
		"allocatedStorage": fmt.Sprintf("%dGiB", taken.storage), "dbSubnetGroup": of.subnets,
	}, nil
}

// take makes the snapshot unless an earlier attempt did, and waits for it. One that
// failed is made anew.
func (s *client) take(ctx context.Context, k kind, id, of string) (*snapshot, error) {
	there, err := k.snapshot(ctx, id)
	if err != nil {
		return nil, err
	}
	if there != nil {
		if _, err := state("snapshot", id, there.status); err != nil {
			if err := s.dropSnapshot(ctx, k, id); err != nil {
				return nil, err
			}
			there = nil
		}
	}
	if there == nil {
		if err := s.ask(ctx, k, id, of); err != nil {
			return nil, err
		}
	}
	return s.awaitSnapshot(ctx, k, id)
}

// ask asks for the snapshot, again while the database is busy with something else.
func (s *client) ask(ctx context.Context, k kind, id, of string) error {
	since := s.call.Clock.Now()
	return s.await(ctx, func(ctx context.Context) (bool, error) {
		if err := s.call.StillHeld(); err != nil {
			return false, &function.Error{Reason: event.ReasonFailed, Err: err}
		}
		err := k.createSnapshot(ctx, id, of, s.tags())
		if (has(err, "InvalidDBInstanceState") || has(err, "InvalidDBClusterState")) && s.call.Clock.Since(since) < busyLimit {
			s.call.Log.Info().Err(err).Msg("no snapshot can be taken now; asking again")
			return false, nil
		}
		return err == nil, err
	})
}

func (s *client) awaitSnapshot(ctx context.Context, k kind, id string) (*snapshot, error) {
	var last *snapshot
	err := s.await(ctx, func(ctx context.Context) (_ bool, err error) {
		if last, err = k.snapshot(ctx, id); err != nil {
			return false, err
		}
		if last == nil {
			return false, function.Errorf(event.ReasonNotFound, "snapshot %s does not exist in this account and region", id)
		}
		s.progress(last.percent)
		return state("snapshot", id, last.status)
	})
	return last, err
}

// dropSnapshot deletes a snapshot and waits until it is gone.
func (s *client) dropSnapshot(ctx context.Context, k kind, id string) error {
	return s.await(ctx, func(ctx context.Context) (bool, error) {
		there, err := k.snapshot(ctx, id)
		if there == nil || err != nil {
			return err == nil, err
		}
		if there.status == statusDeleting {
			return false, nil
		}
		err = k.deleteSnapshot(ctx, id)
		if has(err, "DBSnapshotNotFound") || has(err, "DBClusterSnapshotNotFound") {
			return true, nil
		}
		return false, err
	})
}

type remove struct{}

// Execute deletes the snapshot and waits until it is gone. That there is none is no
// error. It publishes nothing.
func (remove) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		credentials `mapstructure:",squash"`

		Snapshot string `arg:"required"       mapstructure:"snapshotID"`
		Engine   string `mapstructure:"dbEngine"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := empty(map[string]string{"snapshotID": args.Snapshot}); err != nil {
		return nil, err
	}
	s, err := open(ctx, call, &args.credentials)
	if err != nil {
		return nil, err
	}
	err = s.dropSnapshot(ctx, s.kind(args.Engine), args.Snapshot)
	return nil, s.fail(ctx, err, "delete snapshot %s", args.Snapshot)
}
