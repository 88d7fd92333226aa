package restic

import (
	"context"
	"strings"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

// NewBackupDataStats returns a BackupDataStats for one call.
func NewBackupDataStats() function.Function { return backupDataStats{} }

// NewCheckRepository returns a CheckRepository for one call.
func NewCheckRepository() function.Function { return checkRepository{} }

// NewCopyVolumeData returns a CopyVolumeData for one call.
func NewCopyVolumeData() function.Function { return copyVolumeData{} }

type backupDataStats struct{}

// Execute implements function.Function.
func (backupDataStats) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		commonArgs `mapstructure:",squash"`
		podArgs    `mapstructure:",squash"`

		Namespace string `arg:"required" mapstructure:"namespace"`
		Prefix    string `arg:"required" mapstructure:"backupArtifactPrefix"`
		BackupID  string `arg:"required" mapstructure:"backupID"`
		Mode      string `mapstructure:"statsMode"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := notEmpty(map[string]string{"namespace": args.Namespace, "backupArtifactPrefix": args.Prefix, "backupID": args.BackupID}); err != nil {
		return nil, err
	}
	if err := noOptions("backupID", args.BackupID); err != nil {
		return nil, err
	}
	if args.Mode == "" {
		args.Mode = "restore-size"
	}
	a, err := accessOf(call, &args.commonArgs)
	if err != nil {
		return nil, err
	}
	spec, err := args.spec(ctx, call, a, a.location(args.Prefix))
	if err != nil {
		return nil, err
	}
	spec.Namespace = args.Namespace
	spec.Command = command(statsScript, args.BackupID, args.Mode)
	values, err := call.Pods.Run(ctx, call, spec)
	if err != nil {
		return nil, err
	}
	return statsOutputs(values, args.Mode)
}

type checkRepository struct{}

// Execute implements function.Function. Its pod is always in Salvor's own namespace.
func (checkRepository) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		commonArgs `mapstructure:",squash"`
		podArgs    `mapstructure:",squash"`

		Prefix string `arg:"required" mapstructure:"backupArtifactPrefix"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := notEmpty(map[string]string{"backupArtifactPrefix": args.Prefix}); err != nil {
		return nil, err
	}
	a, err := accessOf(call, &args.commonArgs)
	if err != nil {
		return nil, err
	}
	spec, err := args.spec(ctx, call, a, a.location(args.Prefix))
	if err != nil {
		return nil, err
	}
	spec.Command = command(checkScript)
	values, err := call.Pods.Run(ctx, call, spec)
	if err != nil {
		return nil, err
	}
	return checkOutputs(values)
}

type copyVolumeData struct{}

// Execute implements function.Function.
func (copyVolumeData) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		commonArgs `mapstructure:",squash"`
		podArgs    `mapstructure:",squash"`

		Namespace string `arg:"required" mapstructure:"namespace"`
		Volume    string `arg:"required" mapstructure:"volume"`
		Prefix    string `arg:"required" mapstructure:"dataArtifactPrefix"`
		MountPath string `mapstructure:"mountPath"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	if err := notEmpty(map[string]string{"namespace": args.Namespace, "volume": args.Volume, "dataArtifactPrefix": args.Prefix}); err != nil {
		return nil, err
	}
	if args.MountPath == "" {
		args.MountPath = "/mnt/vol_data/" + args.Volume
	}
	if !strings.HasPrefix(args.MountPath, "/") {
		return nil, function.Errorf(event.ReasonInvalid, "argument mountPath must begin with /")
	}
	a, err := accessOf(call, &args.commonArgs)
	if err != nil {
		return nil, err
	}
	location, tag := a.location(args.Prefix), tag(call.Key, "")
	spec, err := args.spec(ctx, call, a, location)
	if err != nil {
		return nil, err
	}
	spec.Namespace = args.Namespace
	spec.Volumes = map[string]string{args.Volume: args.MountPath}
	spec.Command = command(backupScript, tag, args.MountPath)
	values, err := call.Pods.Run(ctx, call, spec)
	if err != nil {
		return nil, err
	}
	s, err := backupOf(values)
	if err != nil {
		return nil, err
	}
	outputs := s.outputs(tag)
	outputs["backupRoot"], outputs["backupArtifactLocation"] = args.MountPath, location
	return outputs, nil
}
