package podexec

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/output"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/internal/again"
)

// defaultContainer is the annotation with which a pod names its main container.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// Target is a container; an empty Container is the pod's default.
type Target struct {
	Namespace, Pod, Container string
}

// String is the target for messages.
func (t Target) String() string {
	return fmt.Sprintf("container %s of pod %s/%s", t.Container, t.Namespace, t.Pod)
}

// Command is what is run.
type Command struct {
	Args []string
	// Stdin is what the command may read; it is seen by nobody else. Empty means that
	// it has no standard input. The end of it may not reach the command (an exec
	// stream over WebSocket has none in older clusters), so the text should say itself
	// where it ends.
	Stdin string
}

// Run runs the command in one container and returns what it published. While the
// API server or the kubelet is away and the command provably has not begun, it is
// asked for again. An *Error says how it failed, with its last lines; a connection
// that was lost before the command ended has event.ReasonInterrupted.
func Run(ctx context.Context, call *function.Call, t Target, command Command) (values map[string]any, err error) {
	e := executor{call: call, command: command}
	err = again.Do(ctx, again.Policy{
		Clock: e.call.Clock, Limit: awayLimit, If: away,
		Failed: func(err error) {
			e.call.Log.Warn().Err(err).Str("pod", t.Namespace+"/"+t.Pod).Msg("the command could not be started yet; trying again")
		},
	}, func(ctx context.Context) (err error) {
		values, err = e.once(ctx, t)
		return err
	})
	return values, err
}

// executor runs a command in containers.
type executor struct {
	call    *function.Call
	command Command
}

// awayLimit is how long the API server or the kubelet may be away.
const awayLimit = 3 * time.Minute

func (e *executor) once(ctx context.Context, t Target) (map[string]any, error) {
	t, err := e.check(ctx, t)
	if err != nil {
		return nil, err
	}
	lines := &recorder{executor: e, target: t}
	stdout := &stream{parser: output.NewParser(output.WithLines(lines.add("stdout")))}
	stderr := &stream{parser: output.NewParser(output.LogOnly(), output.WithLines(lines.add("stderr")))}
	options := remotecommand.StreamOptions{Stdout: stdout, Stderr: stderr}
	if e.command.Stdin != "" {
		options.Stdin = strings.NewReader(e.command.Stdin)
	}
	err = streamCommand(ctx, e.call.Kube.Config, e.url(t), options)
	values, outputErr := stdout.finish()
	_, _ = stderr.finish() // has no values
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("the command in %s was left: %w", t, context.Cause(ctx))
	case err != nil:
		return nil, explain(t, err, lines.tail())
	case outputErr != nil:
		return nil, function.Errorf(event.ReasonOutput, "the command in %s ended well, but: %w", t, outputErr)
	}
	return values, nil
}

// check finds the container, because what the API server says of a wrong one is
// hard to read, and differs by what refuses it.
func (e *executor) check(ctx context.Context, t Target) (Target, error) {
	pod, err := e.call.Kube.Kube.CoreV1().Pods(t.Namespace).Get(ctx, t.Pod, metav1.GetOptions{})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return t, function.FromAPI(unstarted(err), "find pod %s/%s", t.Namespace, t.Pod)
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return t, function.Errorf(event.ReasonPodFailed, "pod %s/%s has ended (%s); a command needs a running one", t.Namespace, t.Pod, pod.Status.Phase)
	}
	names := containers(pod)
	if t.Container == "" {
		t.Container = pod.Annotations[defaultContainer]
	}
	if t.Container == "" {
		t.Container = pod.Spec.Containers[0].Name
	}
	if !slices.Contains(names, t.Container) {
		return t, function.Errorf(event.ReasonNotFound, "pod %s/%s has no container %q; it has %s", t.Namespace, t.Pod, t.Container, strings.Join(names, ", "))
	}
	return t, nil
}

func containers(pod *corev1.Pod) []string {
	var names []string
	for i := range pod.Spec.Containers {
		names = append(names, pod.Spec.Containers[i].Name)
	}
	for i := range pod.Spec.InitContainers { // sidecars
		names = append(names, pod.Spec.InitContainers[i].Name)
	}
	for i := range pod.Spec.EphemeralContainers {
		names = append(names, pod.Spec.EphemeralContainers[i].Name)
	}
	return names
}

func (e *executor) url(t Target) *url.URL {
	return e.call.Kube.Kube.CoreV1().RESTClient().Post().
		Resource("pods").Namespace(t.Namespace).Name(t.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: t.Container, Command: e.command.Args, Stdin: e.command.Stdin != "", Stdout: true, Stderr: true,
		}, clientscheme.ParameterCodec).
		URL()
}

// explain says how the command ended, with its last lines.
func explain(t Target, err error, tail string) error {
	if tail != "" {
		tail = "; its last lines:\n" + tail
	}
	if exit, ok := errors.AsType[exec.CodeExitError](err); ok {
		return function.Errorf(event.ReasonPodFailed, "the command in %s ended with exit code %d%s", t, exit.Code, tail)
	}
	wrapped := function.FromAPI(err, "run the command in %s", t)
	if errors.Is(err, errLost) {
		wrapped = &function.Error{Reason: event.ReasonInterrupted, Err: wrapped}
	}
	if tail == "" {
		return wrapped
	}
	reason := event.ReasonFailed
	if known, ok := errors.AsType[*function.Error](wrapped); ok {
		reason = known.Reason
	}
	return function.Errorf(reason, "%w%s", wrapped, tail)
}
