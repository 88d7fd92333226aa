package restic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// Names of the functions.
const (
	NameBackupData      = "BackupData"
	NameBackupDataAll   = "BackupDataAll"
	NameBackupDataStats = "BackupDataStats"
	NameCheckRepository = "CheckRepository"
	NameCopyVolumeData  = "CopyVolumeData"
	NameDeleteData      = "DeleteData"
	NameDeleteDataAll   = "DeleteDataAll"
	NameRestoreData     = "RestoreData"
	NameRestoreDataAll  = "RestoreDataAll"
)

// version is what Kanister's functions of this kind give as their version.
const version = "v0.0.0"

// commonArgs are the arguments that all of the functions take.
type commonArgs struct {
	EncryptionKey *string `mapstructure:"encryptionKey"`
	InsecureTLS   *bool   `mapstructure:"insecureTLS"`
}

// podArgs are the arguments of the functions with a pod.
type podArgs struct {
	Image       string            `mapstructure:"image"`
	Override    map[string]any    `mapstructure:"podOverride"`
	Labels      map[string]string `mapstructure:"podLabels"`
	Annotations map[string]string `mapstructure:"podAnnotations"`
}

// spec is the pod that runs a script on a repository.
func (p *podArgs) spec(ctx context.Context, call *function.Call, a *access, location string) (function.PodSpec, error) {
	env, err := a.env(ctx, location)
	if err != nil {
		return function.PodSpec{}, err
	}
	image := p.Image
	if image == "" {
		image = call.ToolsImage
	}
	return function.PodSpec{
		Image: image, SecretEnv: env, Override: p.Override, Labels: p.Labels, Annotations: p.Annotations,
	}, nil
}

// notEmpty refuses arguments that came out empty, as a template that finds nothing
// does.
func notEmpty(args map[string]string) error {
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if strings.TrimSpace(args[name]) == "" {
			problems = append(problems, fmt.Errorf("argument %q is empty", name))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &function.Error{Reason: event.ReasonInvalid, Err: errors.Join(problems...)}
}

// noOptions refuses ids that restic would take for options: `forget --keep-last=1` deletes
// backups of everybody who shares the repository.
func noOptions(arg string, ids ...string) error {
	for _, id := range ids {
		if strings.HasPrefix(id, "-") {
			return function.Errorf(event.ReasonInvalid, "argument %s: %q is not the id of a backup", arg, id)
		}
	}
	return nil
}

// oneOf refuses anything but exactly one of two.
func oneOf(first string, hasFirst bool, second string, hasSecond bool) error {
	if hasFirst != hasSecond {
		return nil
	}
	return function.Errorf(event.ReasonInvalid, "give one of the arguments %q and %q, and only one", first, second)
}
