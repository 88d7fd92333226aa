package blueprint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/profile"
)

// Values are the template values of one phase. They hold secret values: they are
// never stored, never logged, and live as long as the phase runs. They are not
// for use by more than one goroutine at a time; Redact is.
type Values struct {
	scope  Scope
	action *kanister.BlueprintAction
	// phase is nil for event.KindRender.
	phase  *kanister.BlueprintPhase
	field  string
	data   *data
	gone   []gone
	engine *engine
	redact *redactor
}

// gone is something that templates could name and that does not exist any more.
type gone struct {
	path []string
	err  error
}

// String hides everything.
func (v *Values) String() string { return "values of " + v.field + " [hidden]" }

// GoString is String, so that %#v shows no more.
func (v *Values) GoString() string { return v.String() }

// Args returns the arguments of the phase, checked against its function's
// signature and rendered. Arguments that the signature hands over as written are
// copied. Errors have event.ReasonInvalid or event.ReasonRender.
func (v *Values) Args() (map[string]any, error) {
	if v.phase == nil {
		return nil, errorf(event.ReasonInternal, "%s: has no phase, so no arguments", v.field)
	}
	if problems := checkCall(place{field: v.field}, v.phase); len(problems) > 0 {
		return nil, &Error{Reason: event.ReasonInvalid, Err: problems[0]}
	}
	signature, _ := Lookup(v.phase.Func)
	args := make(map[string]any, len(v.phase.Args))
	for _, name := range slices.Sorted(maps.Keys(v.phase.Args)) {
		if signature.Verbatim(name) {
			args[name] = runtime.DeepCopyJSONValue(v.phase.Args[name])
			continue
		}
		rendered, err := v.renderAny(v.field+".args."+name, v.phase.Args[name])
		if err != nil {
			return nil, err
		}
		args[name] = rendered
	}
	return args, nil
}

// Artifacts renders the action's output artifacts. The output of the phase that
// has just ended counts as known. They are kept in the ActionSet's status, so one
// that would show a secret value is refused. Nil is returned when the blueprint
// names none.
func (v *Values) Artifacts(output map[string]any) (map[string]kanister.Artifact, error) {
	v.ended(output)
	if len(v.action.OutputArtifacts) == 0 {
		return nil, nil
	}
	artifacts := make(map[string]kanister.Artifact, len(v.action.OutputArtifacts))
	for _, name := range slices.Sorted(maps.Keys(v.action.OutputArtifacts)) {
		field := fmt.Sprintf("actions.%s.outputArtifacts.%s", v.scope.Action, name)
		artifact, err := v.artifact(field, v.action.OutputArtifacts[name])
		if err != nil {
			return nil, err
		}
		artifacts[name] = artifact
	}
	return artifacts, nil
}

func (v *Values) artifact(field string, from kanister.Artifact) (to kanister.Artifact, err error) {
	for _, key := range slices.Sorted(maps.Keys(from.KeyValue)) {
		if to.KeyValue == nil {
			to.KeyValue = make(map[string]string, len(from.KeyValue))
		}
		if to.KeyValue[key], err = v.open(field+".keyValue."+key, from.KeyValue[key]); err != nil {
			return kanister.Artifact{}, err
		}
	}
	if from.KopiaSnapshot != "" {
		if to.KopiaSnapshot, err = v.open(field+".kopiaSnapshot", from.KopiaSnapshot); err != nil {
			return kanister.Artifact{}, err
		}
	}
	return to, nil
}

// open renders a text that everybody may read. A template that names a Secret and
// yields a value of one is refused. One that does not may hold the same text by
// chance, such as a user name that is also the name of a database.
func (v *Values) open(field, text string) (string, error) {
	rendered, err := v.render(field, text)
	if err != nil {
		return "", err
	}
	if v.redact.holds(rendered) && v.namesSecrets(text) {
		return "", errorf(event.ReasonInvalid, "%s: holds a value of a Secret, and artifacts are kept in the ActionSet's status for everybody to read; keep a reference to the Secret instead", field)
	}
	return rendered, nil
}

// ended puts the output of the phase where templates find it.
func (v *Values) ended(output map[string]any) {
	output = whole(output)
	switch v.scope.Kind {
	case event.KindCore:
		v.data.CurrentPhase.Output = output
	case event.KindDefer:
		v.data.DeferPhase.Output = output
	case event.KindRender:
	}
}

// Render renders one text.
func (v *Values) Render(text string) (string, error) { return v.render(v.field, text) }

// RenderAny renders every text in x, also the keys of maps; other scalars stay as
// they are. Lists become []any, maps map[string]any. A nil is an error.
func (v *Values) RenderAny(x any) (any, error) { return v.renderAny(v.field, x) }

// Redact replaces every secret value that was read for this phase by ***, also
// its lines, and its base64, URL and JSON forms. Values of fewer than four bytes
// stay.
func (v *Values) Redact(text string) string { return v.redact.redact(text) }

// Tells returns the first key, in order, under which an output gives away a
// secret value that was read for this phase: a value of eight bytes or more as it
// is, or one of sixteen or more inside a longer text. It is empty if none does.
func (v *Values) Tells(output map[string]any) string {
	for _, key := range slices.Sorted(maps.Keys(output)) {
		if text, ok := output[key].(string); ok && v.redact.tells(text) {
			return key
		}
	}
	return ""
}

// PodOverride of the ActionSet.
func (v *Values) PodOverride() map[string]any { return v.data.PodOverride }

// PodLabels of the ActionSet.
func (v *Values) PodLabels() map[string]string { return v.data.PodLabels }

// PodAnnotations of the ActionSet.
func (v *Values) PodAnnotations() map[string]string { return v.data.PodAnnotations }

// ObjectRef is the action's object, for functions whose arguments default to it.
func (v *Values) ObjectRef() kanister.ObjectReference { return v.scope.Params.ObjectRef }

// Pods are the running pods of the action's object, as they were when the action
// began; nil if it is no workload.
func (v *Values) Pods() []string {
	if w := v.workload(); w != nil {
		return w.Pods
	}
	return nil
}

// PodVolumes maps the claims of a pod of the action's object to where they were mounted
// when the action began; nil if it is none of its pods.
func (v *Values) PodVolumes(pod string) map[string]string {
	if w := v.workload(); w != nil {
		return w.PersistentVolumeClaims[pod]
	}
	return nil
}

func (v *Values) workload() *Workload {
	return cmp.Or(v.data.Deployment, v.data.StatefulSet, v.data.DeploymentConfig)
}

// Secret is the Secret that the ActionSet, or else the phase, refers to by a name, for
// functions that take the name; nil if none does. If it does not exist any more, an
// *Error is returned.
func (v *Values) Secret(name string) (*corev1.Secret, error) {
	if err := v.lost([]string{"Secrets", name}); err != nil {
		return nil, err
	}
	if secret, ok := v.data.Secrets[name]; ok {
		return &secret, nil
	}
	of, where := v.data.CurrentPhase, "CurrentPhase"
	if of == nil {
		of, where = v.data.DeferPhase, "DeferPhase"
	}
	if of == nil {
		return nil, nil
	}
	if err := v.lost([]string{where, "Secrets", name}); err != nil {
		return nil, err
	}
	if secret, ok := of.Secrets[name]; ok {
		return &secret, nil
	}
	return nil, nil
}

// Profile of the ActionSet, for functions that move data themselves; nil when it
// names none. If its Secret does not exist any more, an *Error is returned.
func (v *Values) Profile() (*profile.Profile, error) {
	if err := v.lost([]string{"Profile"}); err != nil {
		return nil, err
	}
	return v.data.Profile, nil
}
