package restic

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
	"github.com/salvor-io/salvor/runner/function/podexec"
)

// NewBackupData returns a BackupData for one call.
func NewBackupData() function.Function { return backupData{} }

// NewBackupDataAll returns a BackupDataAll for one call.
func NewBackupDataAll() function.Function { return backupDataAll{} }

// execBackup is a backup by the container that has the files.
type execBackup struct {
	access               *access
	include              string
	namespace, container string
}

// run makes the backup and returns what restic said of it, and the snapshot's tag.
func (b *execBackup) run(ctx context.Context, call *function.Call, pod, location, tag string) (*summary, error) {
	env, err := b.access.env(ctx, location)
	if err != nil {
		return nil, err
	}
	values, err := podexec.Run(ctx, call,
		podexec.Target{Namespace: b.namespace, Pod: pod, Container: b.container},
		podexec.Command{Args: execCommand(backupScript, tag, b.include, "words"), Stdin: assignments(env)})
	if err != nil {
		return nil, err
	}
	return backupOf(values)
}

type backupData struct{}

// Execute implements function.Function.
func (backupData) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		commonArgs `mapstructure:",squash"`

		Namespace   string `arg:"required" mapstructure:"namespace"`
		Pod         string `arg:"required" mapstructure:"pod"`
		Container   string `arg:"required" mapstructure:"container"`
		IncludePath string `arg:"required" mapstructure:"includePath"`
		Prefix      string `arg:"required" mapstructure:"backupArtifactPrefix"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	err := notEmpty(map[string]string{
		"namespace": args.Namespace, "pod": args.Pod, "container": args.Container,
		"includePath": args.IncludePath, "backupArtifactPrefix": args.Prefix,
	})
	if err != nil {
		return nil, err
	}
	a, err := accessOf(call, &args.commonArgs)
	if err != nil {
		return nil, err
	}
	b := execBackup{access: a, include: args.IncludePath, namespace: args.Namespace, container: args.Container}
	tag := tag(call.Key, "")
	s, err := b.run(ctx, call, args.Pod, a.location(args.Prefix), tag)
	if err != nil {
		return nil, err
	}
	return s.outputs(tag), nil
}

type backupDataAll struct{}

// podBackup is the backup of one pod, as BackupAllInfo has it; the names are
// Kanister's.
type podBackup struct {
	PodName   string `json:"PodName"`
	BackupID  string `json:"BackupID"`
	BackupTag string `json:"BackupTag"`
}

// Execute implements function.Function. All pods are backed up at once, each into a
// repository of its own.
func (backupDataAll) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	var args struct {
		commonArgs `mapstructure:",squash"`

		Namespace   string `arg:"required" mapstructure:"namespace"`
		Container   string `arg:"required" mapstructure:"container"`
		IncludePath string `arg:"required" mapstructure:"includePath"`
		Prefix      string `arg:"required" mapstructure:"backupArtifactPrefix"`
		Pods        string `mapstructure:"pods"`
	}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, err
	}
	err := notEmpty(map[string]string{
		"namespace": args.Namespace, "container": args.Container,
		"includePath": args.IncludePath, "backupArtifactPrefix": args.Prefix,
	})
	if err != nil {
		return nil, err
	}
	a, err := accessOf(call, &args.commonArgs)
	if err != nil {
		return nil, err
	}
	pods := podsOf(args.Pods, call)
	if len(pods) == 0 {
		return nil, function.Errorf(event.ReasonInvalid,
			"there are no pods to back up: argument %q names none, and the ActionSet's object is no workload with running pods", "pods")
	}
	b := execBackup{access: a, include: args.IncludePath, namespace: args.Namespace, container: args.Container}
	backups := make([]podBackup, len(pods))
	err = each(pods, func(i int, pod string) error {
		tag := tag(call.Key, pod)
		s, err := b.run(ctx, call, pod, a.location(args.Prefix)+"/"+pod, tag)
		if err != nil {
			return err
		}
		backups[i] = podBackup{PodName: pod, BackupID: s.ID, BackupTag: tag}
		return nil
	})
	if err != nil {
		return nil, err
	}
	byPod := make(map[string]podBackup, len(pods))
	for _, backup := range backups {
		byPod[backup.PodName] = backup
	}
	info, err := json.Marshal(byPod)
	if err != nil {
		return nil, function.Errorf(event.ReasonInternal, "encode BackupAllInfo: %w", err)
	}
	return map[string]any{"BackupAllInfo": string(info), "version": version}, nil
}

// podsOf are the pods named in an argument, or else those of the action's object.
func podsOf(names string, call *function.Call) []string {
	pods := strings.Fields(names)
	if len(pods) == 0 {
		pods = slices.Clone(call.Values.Pods())
	}
	slices.Sort(pods)
	return slices.Compact(pods)
}

// each does something for all pods at once and returns all failures, with the reason
// of the first that has one.
func each(pods []string, do func(i int, pod string) error) error {
	failures := make([]error, len(pods))
	var all sync.WaitGroup
	for i, pod := range pods {
		all.Go(func() {
			if err := do(i, pod); err != nil {
				failures[i] = function.FromAPI(err, "pod %s", pod)
			}
		})
	}
	all.Wait()
	err := errors.Join(failures...)
	for _, failure := range failures {
		if known, ok := errors.AsType[*function.Error](failure); ok {
			return &function.Error{Reason: known.Reason, Err: err}
		}
	}
	return err
}

// backupsIn reads BackupAllInfo.
func backupsIn(info string) (map[string]podBackup, error) {
	var backups map[string]podBackup
	if err := json.Unmarshal([]byte(info), &backups); err != nil {
		return nil, function.Errorf(event.ReasonInvalid, "argument backupInfo is not the BackupAllInfo of BackupDataAll: %w", err)
	}
	if len(backups) == 0 {
		return nil, function.Errorf(event.ReasonInvalid, "argument backupInfo names no backup")
	}
	return backups, nil
}
