package blueprint

import (
	"context"
	"errors"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Scope says which phase values are for, and what is known before it.
type Scope struct {
	// Params as Resolve made them.
	Params *Params
	// Blueprint as it was pinned when the action started.
	Blueprint *kanister.Blueprint
	// Action is the name of the action in the blueprint.
	Action string
	Kind   event.PhaseKind
	// Phase is an index into the action's phases, for event.KindCore.
	Phase int
	// Outputs of the phases that ended well, by name; a phase that published
	// nothing may have an entry that is nil.
	Outputs map[string]map[string]any
	// DeferOutput is the output of the deferPhase, once it has ended.
	DeferOutput map[string]any
}

// Values are the template values of one phase. They hold secret values: they are
// never stored, never logged, and live as long as the phase runs. They are not
// for use by more than one goroutine at a time.
type Values struct{}

// Load reads the Secrets and ConfigMaps that the phase needs, now, and returns its
// values. If one that the phase itself names does not exist, an *Error says so;
// one that the action names, and that was deleted since, is an error only for a
// template that uses it.
func Load(ctx context.Context, c Cluster, s Scope) (*Values, error) {
	return nil, errors.ErrUnsupported
}

// Args returns the arguments of the phase, checked against its function's
// signature and rendered.
func (v *Values) Args() (map[string]any, error) { return nil, errors.ErrUnsupported }

// Artifacts renders the action's output artifacts. The output of the phase that
// has just ended counts as known.
func (v *Values) Artifacts(output map[string]any) (map[string]kanister.Artifact, error) {
	return nil, errors.ErrUnsupported
}

// Render renders one text.
func (v *Values) Render(text string) (string, error) { return "", errors.ErrUnsupported }

// RenderAny renders every text in x, also the keys of maps; other scalars stay as
// they are. A nil is an error.
func (v *Values) RenderAny(x any) (any, error) { return nil, errors.ErrUnsupported }

// Redact replaces every secret value that was read for this phase by ***.
func (v *Values) Redact(text string) string { return text }

// PodOverride of the ActionSet.
func (v *Values) PodOverride() map[string]any { return nil }

// PodLabels of the ActionSet.
func (v *Values) PodLabels() map[string]string { return nil }

// PodAnnotations of the ActionSet.
func (v *Values) PodAnnotations() map[string]string { return nil }

// ObjectRef is the action's object, for functions whose arguments default to it.
func (v *Values) ObjectRef() kanister.ObjectReference { return kanister.ObjectReference{} }
