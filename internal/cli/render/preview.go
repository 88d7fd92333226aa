package render

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/runner"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/pods"
)

// previewLimit is how long a function may take until it has its pod.
const previewLimit = 20 * time.Second

// unsureError says why a pod cannot be shown, which is no failure.
type unsureError struct{ why string }

func (e *unsureError) Error() string { return e.why }

// errShown ends a function once its pod is known.
var errShown = errors.New("the pod was shown, not run")

// preview returns the pods that the function would make.
func (r *renderer) preview(ctx context.Context, as *kanister.ActionSet, p part, values *blueprint.Values, args map[string]any) ([]*corev1.Pod, error) {
	signature, _ := blueprint.Lookup(p.phase.Func)
	factory := runner.Functions()[p.phase.Func]
	switch {
	case !signature.Pod || factory == nil:
		return nil, nil
	case strings.Contains(signature.Name, "RDS"):
		return nil, &unsureError{why: "its pod depends on what AWS answers, which is not asked here"}
	}
	ctx, cancel := context.WithTimeout(ctx, previewLimit)
	defer cancel()
	shower := &shower{renderer: r}
	uid := string(as.UID)
	call := &function.Call{
		Key:       event.Key{UID: uid, Namespace: as.Namespace, Action: p.index, Kind: p.scope.Kind, Phase: p.scope.Phase, Attempt: 1},
		ActionSet: as.Name, Action: p.scope.Action, Phase: p.phase.Name, Labels: as.Labels,
		Args: args, Values: values, Kube: r.clients, Pods: shower, OwnNamespace: r.options.pods.OwnNamespace, ToolsImage: r.options.toolsImage,
		Clock: r.options.app.Clock, Log: zerolog.Nop(), Progress: func(kanister.PhaseProgress) {},
	}
	_, err := factory().Execute(ctx, call)
	switch {
	case len(shower.pods) > 0:
		for _, pod := range shower.pods {
			anonymous(pod, uid)
		}
		return shower.pods, nil
	case err == nil:
		return nil, &unsureError{why: "no pod: with these arguments there is nothing to do"}
	case placeholders(args):
		return nil, &unsureError{why: fmt.Sprintf("the pod depends on what is not known yet (%v); --output and --artifact say what it is", err)}
	}
	return nil, err
}

// unknownName stands for the name of a pod whose ActionSet is not there yet.
const unknownName = "<made from the ActionSet's UID>"

// anonymous takes out what is not known before the ActionSet is there.
func anonymous(pod *corev1.Pod, uid string) {
	if uid != "" {
		return
	}
	for i := range pod.Spec.Containers {
		for j := range pod.Spec.Containers[i].Env {
			// Secret values of the function's own are in a Secret of the pod's name.
			if from := pod.Spec.Containers[i].Env[j].ValueFrom; from != nil && from.SecretKeyRef != nil && from.SecretKeyRef.Name == pod.Name {
				from.SecretKeyRef.Name = unknownName
			}
		}
	}
	pod.Name = unknownName
	for name, value := range pod.Labels {
		if value == "" && strings.HasPrefix(name, "salvor.io/") {
			pod.Labels[name] = "<the ActionSet's UID>"
		}
	}
}

// placeholders reports whether an argument has one in it.
func placeholders(x any) bool {
	switch x := x.(type) {
	case string:
		return strings.Contains(x, "<output ") || strings.Contains(x, "<artifact ") || strings.Contains(x, "<option ")
	case []any:
		return slices.ContainsFunc(x, placeholders)
	case map[string]any:
		for key, item := range x {
			if placeholders(key) || placeholders(item) {
				return true
			}
		}
	}
	return false
}

// shower is a function.PodRunner that builds pods and runs none.
type shower struct {
	renderer *renderer
	pods     []*corev1.Pod
}

// Run implements function.PodRunner.
func (s *shower) Run(ctx context.Context, call *function.Call, spec function.PodSpec) (map[string]any, error) {
	r := s.renderer
	pod, _, err := pods.Preview(ctx, pods.Deps{Client: r.clients.Kube, Clock: call.Clock, Log: call.Log}, r.options.pods, call, spec)
	if err != nil {
		return nil, err
	}
	pod.APIVersion, pod.Kind = "v1", "Pod"
	s.pods = append(s.pods, pod)
	return nil, errShown
}
