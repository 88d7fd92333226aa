package pods

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// Labels and annotations of the pods. The labels are the pod's identity: no
// podLabels can change them.
const (
	// LabelRun and those after it are of package event: the dispatcher looks for
	// the pods of runs whose record was lost.
	LabelRun       = event.LabelRun
	LabelNamespace = event.LabelNamespace
	LabelAction    = event.LabelAction
	LabelPhase     = event.LabelPhase
	LabelAttempt   = event.LabelAttempt

	// AnnotationActionSet is the name of the ActionSet.
	AnnotationActionSet = "salvor.io/actionset"
	// AnnotationAction and AnnotationPhase are the names in the blueprint.
	AnnotationAction = "salvor.io/action-name"
	AnnotationPhase  = "salvor.io/phase-name"
	// AnnotationPart says which of several pods of one call it is.
	AnnotationPart = "salvor.io/part"

	labelCreatedBy  = "createdBy"
	valueCreatedBy  = "kanister"
	labelJobID      = "kanister.io/JobID"
	annotationMain  = "kubectl.kubernetes.io/default-container"
	defaultMainName = "container"
)

// Identity is what a pod says of itself.
type Identity struct {
	Key       event.Key
	ActionSet string
}

func identityLabels(k event.Key) map[string]string {
	return map[string]string{
		LabelRun:       k.UID,
		LabelNamespace: k.Namespace,
		LabelAction:    strconv.Itoa(k.Action),
		LabelPhase:     k.PhaseLabel(),
		LabelAttempt:   strconv.Itoa(k.Attempt),
	}
}

func identityAnnotations(call *function.Call, part string) map[string]string {
	annotations := map[string]string{
		AnnotationActionSet: call.ActionSet,
		AnnotationAction:    call.Action,
		AnnotationPhase:     call.Phase,
	}
	if part != "" {
		annotations[AnnotationPart] = part
	}
	return annotations
}

// identify reads the identity back. A pod that does not carry a whole one is not
// ours to touch.
func identify(pod *corev1.Pod) (Identity, error) {
	fail := func(label string) (Identity, error) {
		return Identity{}, fmt.Errorf("pod %s/%s: label %s=%q is not one that Salvor sets", pod.Namespace, pod.Name, label, pod.Labels[label])
	}
	k := event.Key{UID: pod.Labels[LabelRun], Namespace: pod.Labels[LabelNamespace]}
	if k.UID == "" {
		return fail(LabelRun)
	}
	if k.Namespace == "" {
		return fail(LabelNamespace)
	}
	kind, index, _ := strings.Cut(pod.Labels[LabelPhase], "-")
	k.Kind = event.PhaseKind(kind)
	switch k.Kind {
	case event.KindCore, event.KindDefer, event.KindRender:
	default:
		return fail(LabelPhase)
	}
	var err error
	if k.Phase, err = strconv.Atoi(index); err != nil {
		return fail(LabelPhase)
	}
	if k.Action, err = strconv.Atoi(pod.Labels[LabelAction]); err != nil {
		return fail(LabelAction)
	}
	if k.Attempt, err = strconv.Atoi(pod.Labels[LabelAttempt]); err != nil {
		return fail(LabelAttempt)
	}
	return Identity{Key: k, ActionSet: pod.Annotations[AnnotationActionSet]}, nil
}

// owns reports whether the pod belongs to the attempt.
func owns(k event.Key, pod *corev1.Pod) bool {
	id, err := identify(pod)
	return err == nil && id.Key == k
}

// mainContainer is the container whose end is the end of the phase: the one that
// the pod names as its default, or else "container".
func mainContainer(pod *corev1.Pod) string {
	if name := pod.Annotations[annotationMain]; name != "" {
		return name
	}
	return defaultMainName
}
