package rds

import (
	"context"
	"time"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// goodbye is how long the deletion of the temporary instance may take when the phase
// is stopped.
const goodbye = 5 * time.Second

// farewell is how long at the phase's own end: AWS deletes no instance that it is still
// working on.
const farewell = 10 * time.Minute

// NewExport returns ExportRDSSnapshotToLocation for one call.
func NewExport() function.Function { return export{} }

type export struct{}

type exportArgs struct {
	credentials `mapstructure:",squash"`
	dumpArgs    `mapstructure:",squash"`

	Instance  string `arg:"required"         mapstructure:"instanceID"`
	Snapshot  string `arg:"required"         mapstructure:"snapshotID"`
	Databases any    `mapstructure:"databases"`
	Groups    any    `mapstructure:"securityGroupID"`
	Subnets   string `mapstructure:"dbSubnetGroup"`
}

// Execute makes an instance from the snapshot, dumps it in a pod, and deletes it.
func (export) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	args := exportArgs{Subnets: defaultSubnets}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := empty(map[string]string{"namespace": args.Namespace, "instanceID": args.Instance, "snapshotID": args.Snapshot}); err != nil {
		return nil, err
	}
	if err := args.check(); err != nil {
		return nil, err
	}
	if args.Prefix == "" {
		args.Prefix = args.Instance
	}
	databases, err := yamlList("databases", args.Databases)
	if err != nil {
		return nil, err
	}
	h := how{subnets: args.Subnets}
	if h.groups, err = yamlList("securityGroupID", args.Groups); err != nil {
		return nil, err
	}
	spec, err := args.spec(call)
	if err != nil {
		return nil, err
	}
	s, err := open(ctx, call, &args.credentials)
	if err != nil {
		return nil, err
	}
	h.tags = s.tags()
	if h.groups == nil {
		if h.groups, err = s.groupsOf(ctx, instances{s.api}, args.Instance); err != nil {
			return nil, err
		}
	}
	temporary := s.named(args.Instance)
	output, err := s.dump(ctx, &args, temporary, h, func(db *database) function.PodSpec {
		spec.Command = dumpCommand(db.endpoint, args.Prefix, "backup-"+s.suffix()+".tar.gz", databases)
		return spec
	})
	s.dismiss(ctx, instances{s.api}, temporary)
	if err == nil && ctx.Err() != nil { // another runner takes the instance away
		err = context.Cause(ctx)
	}
	return output, err
}

// dump makes the temporary instance and runs the pod.
func (s *client) dump(ctx context.Context, args *exportArgs, temporary string, h how, spec func(*database) function.PodSpec) (map[string]any, error) {
	k := instances{s.api}
	if err := s.bringBack(ctx, k, temporary, args.Snapshot, h); err != nil {
		return nil, s.fail(ctx, err, "make the temporary instance %s from snapshot %s", temporary, args.Snapshot)
	}
	db, err := k.database(ctx, temporary)
	if err == nil && (db == nil || db.endpoint == "") {
		err = function.Errorf(event.ReasonFailed, "it has no address")
	}
	if err != nil {
		return nil, s.fail(ctx, err, "temporary instance %s", temporary)
	}
	output, err := s.call.Pods.Run(ctx, s.call, spec(db))
	if err != nil {
		return nil, err
	}
	if output == nil {
		output = map[string]any{}
	}
	groups, err := toYAML(h.groups)
	if err != nil {
		return nil, err
	}
	output["snapshotID"], output["instanceID"], output["securityGroupID"] = args.Snapshot, args.Instance, groups
	return output, nil
}

func (s *client) groupsOf(ctx context.Context, k kind, id string) ([]string, error) {
	d, err := k.database(ctx, id)
	if err == nil && d == nil {
		err = function.Errorf(event.ReasonNotFound, "it does not exist in this account and region, and its security groups are needed; or pass securityGroupID")
	}
	if err != nil {
		return nil, s.fail(ctx, err, "%s %s", k.what(), id)
	}
	return d.groups, nil
}

// dismiss deletes the temporary instance. It does not wait for its end, which nothing
// depends on. When another runner goes on with the phase the instance is left to it.
func (s *client) dismiss(ctx context.Context, k instances, id string) {
	if ctx.Err() != nil && !function.Stopped(ctx) || s.call.StillHeld() != nil {
		return
	}
	// Whoever stops the phase does not wait for the farewell either.
	within, limit := ctx, farewell
	if ctx.Err() != nil {
		within, limit = context.WithoutCancel(ctx), goodbye
	}
	within, cancel := context.WithTimeout(within, limit)
	defer cancel()
	err := s.await(within, func(ctx context.Context) (bool, error) {
		there, err := k.database(ctx, id)
		if err != nil || there == nil || !s.made(there.tags) || there.status == statusDeleting {
			return err == nil, err
		}
		err = k.deleteDatabase(ctx, id)
		if has(err, "InvalidDBInstanceState") { // it is still being made, or backed up
			return false, nil
		}
		return err == nil, err
	})
	if limit == farewell && ctx.Err() != nil {
		s.dismiss(ctx, k, id)
		return
	}
	if err != nil && !has(err, "DBInstanceNotFound") {
		s.call.Log.Error().Err(err).Str("id", id).Msg("the temporary RDS instance could not be deleted; delete it, it costs money")
	}
}
