package restic

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// NewRestoreData returns a RestoreData for one call.
func NewRestoreData() function.Function { return restoreData{} }

// NewRestoreDataAll returns a RestoreDataAll for one call.
func NewRestoreDataAll() function.Function { return restoreDataAll{} }

type restoreData struct{}

// Execute implements function.Function.
func (restoreData) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		commonArgs `mapstructure:",squash"`
		podArgs    `mapstructure:",squash"`

		Namespace  string            `arg:"required" mapstructure:"namespace"`
		Prefix     string            `arg:"required" mapstructure:"backupArtifactPrefix"`
		Target     string            `mapstructure:"restorePath"`
		BackupPath string            `mapstructure:"backupPath"`
		Pod        string            `mapstructure:"pod"`
		Volumes    map[string]string `mapstructure:"volumes"`
		Tag        string            `mapstructure:"backupTag"`
		ID         string            `mapstructure:"backupIdentifier"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	err := notEmpty(map[string]string{"namespace": args.Namespace, "image": args.Image, "backupArtifactPrefix": args.Prefix})
	if err != nil {
		return nil, err
	}
	if err := oneOf("pod", args.Pod != "", "volumes", len(args.Volumes) > 0); err != nil {
		return nil, err
	}
	if err := oneOf("backupTag", args.Tag != "", "backupIdentifier", args.ID != ""); err != nil {
		return nil, err
	}
	if err := noOptions("backupIdentifier", args.ID); err != nil {
		return nil, err
	}
	a, err := accessOf(call, &args.commonArgs)
	if err != nil {
		return nil, err
	}
	if args.Pod != "" {
		if args.Volumes, err = volumesOf(call, args.Pod); err != nil {
			return nil, err
		}
	}
	spec, err := args.spec(ctx, call, a, a.location(args.Prefix))
	if err != nil {
		return nil, err
	}
	spec.Namespace, spec.Volumes = args.Namespace, args.Volumes
	spec.Command = command(restoreScript, target(args.Target), args.ID, args.Tag, args.BackupPath)
	return call.Pods.Run(ctx, call, spec)
}

func target(path string) string {
	if path == "" {
		return "/"
	}
	return path
}

// volumesOf are the claims of a pod of the action's object, as they were when the
// action began.
func volumesOf(call *function.Call, pod string) (map[string]string, error) {
	volumes := call.Values.PodVolumes(pod)
	if len(volumes) == 0 {
		return nil, function.Errorf(event.ReasonInvalid,
			"pod %q was no running pod with claims of the ActionSet's object when the action began; name the claims in the argument volumes", pod)
	}
	return volumes, nil
}

type restoreDataAll struct{}

// Execute implements function.Function. All pods are restored at once, each by a pod of
// its own that mounts its volumes.
func (restoreDataAll) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		commonArgs `mapstructure:",squash"`
		podArgs    `mapstructure:",squash"`

		Namespace string `arg:"required" mapstructure:"namespace"`
		Prefix    string `arg:"required" mapstructure:"backupArtifactPrefix"`
		Info      string `arg:"required" mapstructure:"backupInfo"`
		Target    string `mapstructure:"restorePath"`
		Pods      string `mapstructure:"pods"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	err := notEmpty(map[string]string{"namespace": args.Namespace, "image": args.Image, "backupArtifactPrefix": args.Prefix})
	if err != nil {
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
	pods := podsOf(args.Pods, call)
	if len(pods) == 0 {
		pods = slices.Sorted(maps.Keys(backups))
	}
	specs := make([]function.PodSpec, len(pods))
	for i, pod := range pods { // all are right before any is begun
		if backups[pod].BackupID == "" {
			return nil, function.Errorf(event.ReasonInvalid, "argument backupInfo has no backup of pod %s; it has %s",
				pod, strings.Join(slices.Sorted(maps.Keys(backups)), ", "))
		}
		if err := noOptions("backupInfo", backups[pod].BackupID); err != nil {
			return nil, err
		}
		if specs[i], err = args.spec(ctx, call, a, a.location(args.Prefix)+"/"+pod); err != nil {
			return nil, err
		}
		specs[i].Namespace, specs[i].Part = args.Namespace, pod
		if specs[i].Volumes, err = volumesOf(call, pod); err != nil {
			return nil, err
		}
		specs[i].Command = command(restoreScript, target(args.Target), backups[pod].BackupID, "", "")
	}
	outputs := make([]map[string]any, len(pods))
	err = each(pods, func(i int, _ string) (err error) {
		outputs[i], err = call.Pods.Run(ctx, call, specs[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	var merged map[string]any
	for _, output := range outputs { // the last pod's word on a key counts, whichever ended last
		if merged == nil && len(output) > 0 {
			merged = map[string]any{}
		}
		maps.Copy(merged, output)
	}
	return merged, nil
}
