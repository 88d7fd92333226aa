package restic

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// NewDeleteData returns a DeleteData for one call.
func NewDeleteData() function.Function { return deleteData{} }

// NewDeleteDataAll returns a DeleteDataAll for one call.
func NewDeleteDataAll() function.Function { return deleteDataAll{} }

// deletion is what both have in common.
type deletion struct {
	commonArgs `mapstructure:",squash"`
	podArgs    `mapstructure:",squash"`

	Namespace string `arg:"required" mapstructure:"namespace"`
	Prefix    string `arg:"required" mapstructure:"backupArtifactPrefix"`
	Reclaim   bool   `mapstructure:"reclaimSpace"`
}

// victim is a snapshot to be deleted.
type victim struct{ location, kind, name string }

func (d *deletion) run(ctx context.Context, call *function.Call, a *access, victims []victim) (map[string]any, error) {
	spec, err := d.spec(ctx, call, a, victims[0].location)
	if err != nil {
		return nil, err
	}
	args := []string{strconv.FormatBool(d.Reclaim)}
	for _, v := range victims {
		args = append(args, a.url(v.location), v.kind, v.name)
	}
	spec.Namespace = d.Namespace
	spec.Command = command(deleteScript, args...)
	values, err := call.Pods.Run(ctx, call, spec)
	if err != nil {
		return nil, err
	}
	return freedOutputs(values)
}

type deleteData struct{}

// Execute implements function.Function. As in Kanister prefix, ids and tags may be
// several, with spaces between; one prefix is good for all.
func (deleteData) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		deletion `mapstructure:",squash"`

		ID  string `mapstructure:"backupID"`
		Tag string `mapstructure:"backupTag"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := notEmpty(map[string]string{"namespace": args.Namespace, "backupArtifactPrefix": args.Prefix}); err != nil {
		return nil, err
	}
	ids, tags, prefixes := strings.Fields(args.ID), strings.Fields(args.Tag), strings.Fields(args.Prefix)
	if err := oneOf("backupID", len(ids) > 0, "backupTag", len(tags) > 0); err != nil {
		return nil, err
	}
	if err := noOptions("backupID", ids...); err != nil {
		return nil, err
	}
	kind, names := "id", ids
	if len(tags) > 0 {
		kind, names = "tag", tags
	}
	if len(prefixes) != 1 && len(prefixes) != len(names) {
		return nil, function.Errorf(event.ReasonInvalid,
			"argument backupArtifactPrefix has %d paths for %d backups; give one for all, or one for each", len(prefixes), len(names))
	}
	a, err := accessOf(call, &args.commonArgs)
	if err != nil {
		return nil, err
	}
	victims := make([]victim, len(names))
	for i, name := range names {
		victims[i] = victim{location: a.location(prefixes[min(i, len(prefixes)-1)]), kind: kind, name: name}
	}
	return args.run(ctx, call, a, victims)
}

type deleteDataAll struct{}

// Execute implements function.Function.
func (deleteDataAll) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		deletion `mapstructure:",squash"`

		Info string `arg:"required" mapstructure:"backupInfo"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := notEmpty(map[string]string{"namespace": args.Namespace, "backupArtifactPrefix": args.Prefix}); err != nil {
		return nil, err
	}
	backups, err := backupsIn(args.Info)
	if err != nil {
		return nil, err
	}
	a, err := accessOf(call, &args.commonArgs)
	if err != nil {
		return nil, err
	}
	var victims []victim
	for _, pod := range slices.Sorted(maps.Keys(backups)) {
		if backups[pod].BackupID == "" {
			return nil, function.Errorf(event.ReasonInvalid, "argument backupInfo has no BackupID for pod %s", pod)
		}
		if err := noOptions("backupInfo", backups[pod].BackupID); err != nil {
			return nil, err
		}
		victims = append(victims, victim{location: a.location(args.Prefix) + "/" + pod, kind: "id", name: backups[pod].BackupID})
	}
	return args.run(ctx, call, a, victims)
}
