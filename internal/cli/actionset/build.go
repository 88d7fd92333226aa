package actionset

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Build makes the ActionSet. parent is the ActionSet of r.From, nil without;
// suffix makes generated names unique.
func Build(r *Request, parent *kanister.ActionSet, suffix string) (*kanister.ActionSet, error) {
	actions, err := buildActions(r, parent)
	if err != nil {
		return nil, err
	}
	if len(actions) == 0 {
		return nil, errors.New("nothing to work on: the selector selects no object")
	}
	return &kanister.ActionSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: kanister.GroupVersion.String(), Kind: "ActionSet"},
		ObjectMeta: metav1.ObjectMeta{Name: r.newName(suffix), Namespace: r.Namespace, Labels: r.Labels},
		Spec:       &kanister.ActionSetSpec{Actions: actions},
	}, nil
}

func buildActions(r *Request, parent *kanister.ActionSet) ([]kanister.ActionSpec, error) {
	if parent != nil {
		return continueFrom(r, parent)
	}
	actions := make([]kanister.ActionSpec, 0, len(r.Objects))
	for _, object := range r.Objects {
		actions = append(actions, kanister.ActionSpec{
			Name: r.Action, Blueprint: r.Blueprint, Object: object,
			Secrets: r.Secrets, ConfigMaps: r.ConfigMaps, Profile: r.Profile, Options: r.Options,
			PodLabels: r.PodLabels, PodAnnotations: r.PodAnnotations,
		})
	}
	return actions, nil
}

// continueFrom takes each action of a complete ActionSet up again: its output
// artifacts become the input of the new one. As with kanctl, podOverride and
// preferredVersion are not taken over.
func continueFrom(r *Request, parent *kanister.ActionSet) ([]kanister.ActionSpec, error) {
	if err := checkParent(parent); err != nil {
		return nil, err
	}
	var actions []kanister.ActionSpec
	for i, was := range parent.Status.Actions {
		spec := parent.Spec.Actions[i]
		action := kanister.ActionSpec{
			Name:           firstOf(r.Action, spec.Name),
			Blueprint:      firstOf(r.Blueprint, was.Blueprint, spec.Blueprint),
			Object:         was.Object,
			Artifacts:      was.Artifacts,
			Secrets:        spec.Secrets,
			ConfigMaps:     spec.ConfigMaps,
			Profile:        spec.Profile,
			Options:        mergeOptions(spec.Options, r.Options),
			PodLabels:      r.PodLabels,
			PodAnnotations: r.PodAnnotations,
		}
		if action.Object == (kanister.ObjectReference{}) {
			action.Object = spec.Object
		}
		if len(r.Secrets) > 0 {
			action.Secrets = r.Secrets
		}
		if len(r.ConfigMaps) > 0 {
			action.ConfigMaps = r.ConfigMaps
		}
		if r.Profile != nil {
			action.Profile = r.Profile
		}
		if len(r.Objects) == 0 {
			actions = append(actions, action)
			continue
		}
		for _, object := range r.Objects {
			other := *action.DeepCopy()
			other.Object = object
			actions = append(actions, other)
		}
	}
	return actions, nil
}

// checkParent refuses a parent whose artifacts cannot be relied on.
func checkParent(parent *kanister.ActionSet) error {
	name := parent.Namespace + "/" + parent.Name
	if parent.Status == nil || parent.Status.State == "" {
		return fmt.Errorf("--from: ActionSet %s has not been started yet; wait for it with: salvor wait %s -n %s", name, parent.Name, parent.Namespace)
	}
	switch parent.Status.State {
	case kanister.StateComplete:
	case kanister.StatePending, kanister.StateRunning:
		return fmt.Errorf("--from: ActionSet %s is %s, not complete; wait for it with: salvor wait %s -n %s",
			name, parent.Status.State, parent.Name, parent.Namespace)
	case kanister.StateFailed:
		return fmt.Errorf("--from: ActionSet %s failed, so its artifacts cannot be used: %s", name, firstOf(parent.Status.Error.Message, "no reason is recorded"))
	default:
		return fmt.Errorf("--from: ActionSet %s is in state %q, not complete", name, parent.Status.State)
	}
	if parent.Spec == nil || len(parent.Spec.Actions) != len(parent.Status.Actions) {
		return fmt.Errorf("--from: the status of ActionSet %s does not match its actions; it was changed after it ran", name)
	}
	return nil
}

// maxName is the longest name that the API server takes.
const maxName = 253

var notInName = regexp.MustCompile(`[^a-z0-9.-]+`)

// newName is --name or <action>-<parent>-<suffix> without what is missing.
func (r *Request) newName(suffix string) string {
	if r.Name != "" {
		return r.Name
	}
	var parts []string
	for _, part := range []string{r.Action, r.From} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	// Names of actions are free text; names of objects are not.
	base := notInName.ReplaceAllString(strings.ToLower(strings.Join(parts, "-")), "-")
	base = strings.Trim(base[:min(len(base), maxName-len(suffix)-1)], "-.")
	return strings.TrimLeft(base+"-"+suffix, "-")
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
