package retention

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/trigger"
)

// defaultAction removes the data when spec.keep.action is not set.
const defaultAction = "delete"

// maxName bounds the name of an ActionSet: it is also used in labels.
const maxName = 63

// pruneName is the same whoever computes it, so that an attempt is made once.
func pruneName(triggerUID, backup, backupUID string, attempt int) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{triggerUID, backupUID, strconv.Itoa(attempt)}, "\x1f")))
	suffix := "-prune-" + hex.EncodeToString(sum[:5])
	backup = strings.ReplaceAll(backup, ".", "-")
	return strings.TrimRight(backup[:min(len(backup), maxName-len(suffix))], "-") + suffix
}

// removes is the action that removes data.
func removes(keep *salvor.Retention) string { return cmp.Or(keep.Action, defaultAction) }

// doesOther reports whether a prune runs another action than the one that the trigger
// asks for now: spec.keep.action was mended since.
func doesOther(prune *kanister.ActionSet, t *salvor.ActionTrigger) bool {
	return t != nil && t.Spec.Keep != nil && slices.ContainsFunc(prune.Spec.Actions, func(a kanister.ActionSpec) bool {
		return a.Name != removes(t.Spec.Keep)
	})
}

// newPrune is the ActionSet that removes the data of a backup: its actions with their
// artifacts, under the name of the action that removes.
func newPrune(t *salvor.ActionTrigger, backup *kanister.ActionSet) (*kanister.ActionSet, error) {
	spec, err := pruneSpec(backup, removes(t.Spec.Keep))
	if err != nil {
		return nil, err
	}
	return &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: backup.Namespace,
			Name:      pruneName(string(t.UID), backup.Name, string(backup.UID), 1),
			Labels:    map[string]string{salvor.LabelPrunes: trigger.LabelValue(backup.Name)},
			Annotations: map[string]string{
				salvor.AnnotationTriggerUID:   string(t.UID),
				salvor.AnnotationPrunes:       backup.Name + "/" + string(backup.UID),
				salvor.AnnotationPruneAttempt: "1",
				salvor.AnnotationChain:        chain(backup, string(t.UID)),
			},
		},
		Spec: spec,
	}, nil
}

// chain is that of the backup and the trigger itself, so that a trigger which listens
// to the ends of runs does not fire for what it caused.
func chain(backup *kanister.ActionSet, triggerUID string) string {
	text := backup.Annotations[salvor.AnnotationChain]
	if slices.Contains(strings.Split(text, ","), triggerUID) {
		return text
	}
	return strings.TrimPrefix(text+","+triggerUID, ",")
}

func pruneSpec(backup *kanister.ActionSet, action string) (*kanister.ActionSetSpec, error) {
	spec := &kanister.ActionSetSpec{}
	if backup.Spec == nil || backup.Status == nil || len(backup.Spec.Actions) != len(backup.Status.Actions) {
		return nil, fmt.Errorf("ActionSet %s: status.actions does not tell of the actions in spec.actions", backup.Name)
	}
	for i := range backup.Spec.Actions {
		was := &backup.Status.Actions[i]
		if len(marksOf(was.Artifacts)) == 0 {
			continue
		}
		next := backup.Spec.Actions[i].DeepCopy()
		if next.Name != was.Name {
			return nil, fmt.Errorf("ActionSet %s: status.actions[%d] tells of action %q, spec.actions[%d] of %q", backup.Name, i, was.Name, i, next.Name)
		}
		next.Name, next.Artifacts = action, was.DeepCopy().Artifacts
		spec.Actions = append(spec.Actions, *next)
	}
	if len(spec.Actions) == 0 {
		return nil, fmt.Errorf("ActionSet %s left no artifacts", backup.Name)
	}
	return spec, nil
}

// nextPrune is the attempt after one that failed.
func nextPrune(failed *kanister.ActionSet) *kanister.ActionSet {
	s := look(failed)
	next := &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: failed.Namespace, Name: pruneName(s.trigger, s.of, s.ofUID, s.attempt+1),
			Labels: map[string]string{salvor.LabelPrunes: failed.Labels[salvor.LabelPrunes]}, Annotations: map[string]string{},
		},
		Spec: failed.Spec.DeepCopy(),
	}
	for _, name := range []string{salvor.AnnotationTriggerUID, salvor.AnnotationPrunes, salvor.AnnotationChain} {
		if value, ok := failed.Annotations[name]; ok {
			next.Annotations[name] = value
		}
	}
	next.Annotations[salvor.AnnotationPruneAttempt] = strconv.Itoa(s.attempt + 1)
	return next
}

// same reports whether the ActionSet that has the name is the one to be made.
func same(found, want *kanister.ActionSet) bool {
	for _, name := range []string{salvor.AnnotationTriggerUID, salvor.AnnotationPrunes, salvor.AnnotationPruneAttempt} {
		if found.Annotations[name] != want.Annotations[name] {
			return false
		}
	}
	return found.Labels[salvor.LabelPrunes] == want.Labels[salvor.LabelPrunes]
}

// removed reports whether the ActionSet, which is complete, has removed the data of
// the backup: it did what newPrune asks for. Labels alone are not believed, because
// whoever may create an ActionSet can write them.
func removed(prune, backup *kanister.ActionSet) bool {
	if prune.Spec == nil || len(prune.Spec.Actions) == 0 {
		return false
	}
	want, err := pruneSpec(backup, prune.Spec.Actions[0].Name)
	if err != nil || len(want.Actions) != len(prune.Spec.Actions) {
		return false
	}
	for i := range want.Actions {
		if did := prune.Spec.Actions[i].Object; did != want.Actions[i].Object && did == namespaceOf(want.Actions[i].Object, backup.Namespace) {
			want.Actions[i].Object = did
		}
	}
	return equality.Semantic.DeepEqual(want, prune.Spec) &&
		prune.Annotations[salvor.AnnotationTriggerUID] == backup.Annotations[salvor.AnnotationTriggerUID]
}

// What an action's templates say of its object: that it is a namespace, or that it is
// something else.
var (
	aboutNamespace = regexp.MustCompile(`(^|[^\w.)\]"'])\.Namespace\b`)
	aboutOther     = regexp.MustCompile(`(^|[^\w.)\]"'])\.(StatefulSet|Deployment|DeploymentConfig|PVC|Object)\b`)
)

// adapt makes the object of an action that removes data what the blueprint's action is
// made for. Most of Kanister's own blueprints back a workload up and delete with the
// workload's namespace as the object, so that it can be done when the workload is
// gone.
func adapt(a *kanister.ActionSpec, action *kanister.BlueprintAction, namespace string) {
	text, err := json.Marshal(action)
	if err == nil && aboutNamespace.Match(text) && !aboutOther.Match(text) && !strings.EqualFold(a.Object.Kind, "namespace") {
		a.Object = namespaceOf(a.Object, namespace)
	}
}

func namespaceOf(o kanister.ObjectReference, otherwise string) kanister.ObjectReference {
	name := cmp.Or(o.Namespace, otherwise)
	return kanister.ObjectReference{Kind: "Namespace", Name: name, Namespace: name}
}
