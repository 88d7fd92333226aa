package rds

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

const (
	defaultSubnets = "default"
	// defaultClass is that of the instance of a restored cluster when none was there
	// to take it from.
	defaultClass = "db.r5.large"
)

// NewRestore returns RestoreRDSSnapshot for one call.
func NewRestore() function.Function { return restore{} }

type restore struct{}

type restoreArgs struct {
	credentials `mapstructure:",squash"`
	dumpArgs    `mapstructure:",squash"`

	Instance string `arg:"required"       mapstructure:"instanceID"`
	Snapshot string `mapstructure:"snapshotID"`
	BackupID string `mapstructure:"backupID"`
	Groups   any    `mapstructure:"securityGroupID"`
	Subnets  string `mapstructure:"dbSubnetGroup"`
}

// Execute restores the instance from the snapshot, or its databases from the dump.
func (restore) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	args := restoreArgs{Subnets: defaultSubnets}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := empty(map[string]string{"instanceID": args.Instance}); err != nil {
		return nil, err
	}
	groups, err := yamlList("securityGroupID", args.Groups)
	if err != nil {
		return nil, err
	}
	if args.Snapshot == "" {
		return args.fromDump(ctx, call)
	}
	s, err := open(ctx, call, &args.credentials)
	if err != nil {
		return nil, err
	}
	k := s.kind(args.Engine)
	err = s.bringBack(ctx, k, args.Instance, args.Snapshot, how{groups: groups, subnets: args.Subnets, tags: s.tags()})
	return nil, s.fail(ctx, err, "restore %s %s from snapshot %s", k.what(), args.Instance, args.Snapshot)
}

// fromDump has a pod read the dump into the instance that is there.
func (a *restoreArgs) fromDump(ctx context.Context, call *function.Call) (map[string]any, error) {
	for name, value := range map[string]string{
		"backupArtifactPrefix": a.Prefix, "backupID": a.BackupID, "username": a.Username, "password": a.Password, "namespace": a.Namespace,
	} {
		if value == "" {
			return nil, function.Errorf(event.ReasonInvalid, "argument %q is missing: without snapshotID the dump is restored, and that needs it", name)
		}
	}
	if err := a.check(); err != nil {
		return nil, err
	}
	s, err := open(ctx, call, &a.credentials)
	if err != nil {
		return nil, err
	}
	k := instances{s.api}
	db, err := k.database(ctx, a.Instance)
	if err == nil && db == nil {
		err = function.Errorf(event.ReasonNotFound, "it does not exist in this account and region")
	}
	if err == nil && db.endpoint == "" {
		err = function.Errorf(event.ReasonFailed, "it has no address; it is %s", db.status)
	}
	if err != nil {
		return nil, s.fail(ctx, err, "%s %s", k.what(), a.Instance)
	}
	spec, err := a.spec(call)
	if err != nil {
		return nil, err
	}
	spec.Command = restoreCommand(db, a.Prefix+"/"+a.BackupID)
	if _, err := call.Pods.Run(ctx, call, spec); err != nil {
		return nil, err
	}
	return map[string]any{"endpoint": db.endpoint}, nil
}

// bringBack puts a new database in the place of the one that is there, unless an
// earlier attempt did.
func (s *client) bringBack(ctx context.Context, k kind, id, snapshotID string, h how) error {
	there, err := k.database(ctx, id)
	if err != nil {
		return err
	}
	if s.ours(there) {
		return s.finish(ctx, k, id, "")
	}
	from, err := s.awaitSnapshot(ctx, k, snapshotID) // before anything is deleted
	if err != nil {
		return err
	}
	if there != nil && from.automated() && strings.EqualFold(from.of, id) {
		return function.Errorf(event.ReasonInvalid,
			"AWS took this snapshot by itself and deletes it together with the %s, which has to be deleted before it can be restored; copy it to a snapshot of your own, and restore that", k.what())
	}
	if h.groups == nil {
		if there == nil {
			return function.Errorf(event.ReasonInvalid, "argument securityGroupID is missing, and there is no %s %s to take its security groups from", k.what(), id)
		}
		h.groups = there.groups
	}
	class, err := s.takeAway(ctx, k, id)
	if err != nil {
		return err
	}
	if err := s.call.StillHeld(); err != nil {
		return err
	}
	s.call.Log.Info().Str("id", id).Str("snapshot", snapshotID).Msg("restoring " + k.what())
	if err := k.restore(ctx, id, from, h); err != nil {
		return err
	}
	return s.finish(ctx, k, id, class)
}

// ours tells whether the phase made the database, and it is or will be whole.
func (s *client) ours(d *database) bool {
	if d == nil || !s.made(d.tags) {
		return false
	}
	_, err := state("", d.id, d.status)
	return err == nil // one that failed is replaced
}

// finish waits until the database is available; a cluster gets an instance of that
// class.
func (s *client) finish(ctx context.Context, k kind, id, class string) error {
	var restored *database
	err := s.await(ctx, func(ctx context.Context) (_ bool, err error) {
		if restored, err = k.database(ctx, id); err != nil {
			return false, err
		}
		if restored == nil {
			return false, function.Errorf(event.ReasonNotFound, "%s %s was deleted while it was waited for", k.what(), id)
		}
		return state(k.what(), id, restored.status)
	})
	c, isCluster := k.(clusters)
	if err != nil || !isCluster {
		return err
	}
	return s.member(ctx, c, restored, class)
}

// member makes the first instance of a restored cluster: restoring makes none.
func (s *client) member(ctx context.Context, c clusters, of *database, class string) error {
	name := of.id + "-instance-1"
	if !slices.Contains(of.members, name) {
		answer, err := c.api.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: &of.id})
		if err != nil {
			return err
		}
		if len(answer.DBClusters) == 0 {
			return function.Errorf(event.ReasonNotFound, "%s %s was deleted while it was waited for", c.what(), of.id)
		}
		if class == "" {
			class = defaultClass
		}
		if err := s.call.StillHeld(); err != nil {
			return err
		}
		_, err = c.api.CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
			DBInstanceIdentifier: &name, DBClusterIdentifier: &of.id, DBInstanceClass: &class, Engine: answer.DBClusters[0].Engine, Tags: s.tags(),
		})
		if err != nil && !has(err, "DBInstanceAlreadyExists") {
			return err
		}
	}
	return s.finish(ctx, instances(c), name, "")
}

// takeAway deletes a database and waits until it is gone; a cluster's instances first,
// one of whose classes it returns.
func (s *client) takeAway(ctx context.Context, k kind, id string) (class string, err error) {
	err = s.await(ctx, func(ctx context.Context) (bool, error) {
		there, err := k.database(ctx, id)
		if there == nil || err != nil {
			return err == nil, err
		}
		if there.status == statusDeleting {
			return false, nil
		}
		cluster, _ := k.(clusters) // only they have members
		for _, member := range there.members {
			answer, err := cluster.api.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &member})
			if err == nil && len(answer.DBInstances) > 0 && class == "" {
				class = aws.ToString(answer.DBInstances[0].DBInstanceClass)
			}
			if _, err := s.takeAway(ctx, instances(cluster), member); err != nil {
				return false, err
			}
		}
		if err := s.call.StillHeld(); err != nil {
			return false, &function.Error{Reason: event.ReasonFailed, Err: err}
		}
		s.call.Log.Info().Str("id", id).Msg("deleting " + k.what())
		err = k.deleteDatabase(ctx, id)
		if has(err, "DBInstanceNotFound") || has(err, "DBClusterNotFound") {
			return true, nil
		}
		return false, err
	})
	return class, err
}
