package kubeexec

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/output"
	"github.com/salvor-io/salvor/runner/function"
)

// defaultContainer is the annotation with which a pod names its main container.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// target is a container; an empty container is the pod's default.
type target struct {
	namespace, pod, container string
}

// String is the target for messages.
func (t target) String() string {
	return fmt.Sprintf("container %s of pod %s/%s", t.container, t.namespace, t.pod)
}

// executor runs a command in containers.
type executor struct {
	call    *function.Call
	command []string
	// redact guards call.Values, which is not for several goroutines.
	redact sync.Mutex
}

// run runs the command in one container and returns what it published.
func (e *executor) run(ctx context.Context, t target) (map[string]any, error) {
	t, err := e.check(ctx, t)
	if err != nil {
		return nil, err
	}
	client, err := e.client(t)
	if err != nil {
		return nil, function.Errorf(event.ReasonInternal, "make the exec client for %s: %w", t, err)
	}
	lines := &recorder{executor: e, target: t}
	stdout := &stream{parser: output.NewParser(output.WithLines(lines.add("stdout")))}
	stderr := &stream{parser: output.NewParser(output.LogOnly(), output.WithLines(lines.add("stderr")))}
	err = client.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: stdout, Stderr: stderr})
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
func (e *executor) check(ctx context.Context, t target) (target, error) {
	pod, err := e.call.Kube.Kube.CoreV1().Pods(t.namespace).Get(ctx, t.pod, metav1.GetOptions{})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return t, function.FromAPI(err, "find pod %s/%s", t.namespace, t.pod)
	}
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return t, function.Errorf(event.ReasonPodFailed, "pod %s/%s has ended (%s); a command needs a running one", t.namespace, t.pod, pod.Status.Phase)
	}
	names := containers(pod)
	if t.container == "" {
		t.container = pod.Annotations[defaultContainer]
	}
	if t.container == "" {
		t.container = pod.Spec.Containers[0].Name
	}
	if !slices.Contains(names, t.container) {
		return t, function.Errorf(event.ReasonNotFound, "pod %s/%s has no container %q; it has %s", t.namespace, t.pod, t.container, strings.Join(names, ", "))
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

// client speaks WebSocket and, if the upgrade is refused, SPDY.
func (e *executor) client(t target) (remotecommand.Executor, error) {
	at := e.url(t)
	socket, err := remotecommand.NewWebSocketExecutor(e.call.Kube.Config, "GET", at.String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(e.call.Kube.Config, "POST", at)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

func (e *executor) url(t target) *url.URL {
	return e.call.Kube.Kube.CoreV1().RESTClient().Post().
		Resource("pods").Namespace(t.namespace).Name(t.pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: t.container, Command: e.command, Stdout: true, Stderr: true}, clientscheme.ParameterCodec).
		URL()
}

// explain says how the command ended, with its last lines.
func explain(t target, err error, tail string) error {
	if tail != "" {
		tail = "; its last lines:\n" + tail
	}
	var exit exec.CodeExitError
	if errors.As(err, &exit) {
		return function.Errorf(event.ReasonPodFailed, "the command in %s ended with exit code %d%s", t, exit.Code, tail)
	}
	wrapped := function.FromAPI(err, "run the command in %s", t)
	if tail == "" {
		return wrapped
	}
	reason := event.ReasonFailed
	var known *function.Error
	if errors.As(wrapped, &known) {
		reason = known.Reason
	}
	return function.Errorf(reason, "%w%s", wrapped, tail)
}
