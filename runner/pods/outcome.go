package pods

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/api/event"
)

// limits bound how long a pod may take to start.
type limits struct {
	// pull: how long the kubelet may fail to pull the image or to make the
	// container, from its first error.
	pull time.Duration
	// start: how long the pod may take to run, from when it is followed.
	start time.Duration
}

// nodeGrace is how long after its own grace period a pod that is being deleted
// may stay: a node that does not answer leaves it there for ever.
const nodeGrace = 30 * time.Second

// observation is all that a verdict depends on.
type observation struct {
	pod *corev1.Pod
	// gone: the object does not exist any more; pod is its last state.
	gone     bool
	now      time.Time
	followed time.Time
	// troubleSince is when the kubelet was first seen failing to start the
	// container; zero if never.
	troubleSince time.Time
	// pullError is what the kubelet last said about a failed pull; while it backs
	// off, older kubelets say only that they do.
	pullError string
	// beside names the containers whose good end the phase needs as well.
	beside []string
	// besideFailed is when one of them was first seen to have failed while the main
	// one ran; zero if never.
	besideFailed time.Time
}

// state is where the followed container stands.
type state int

const (
	// stateWaiting: not started yet.
	stateWaiting state = iota
	// stateRunning: started, and its log can be read.
	stateRunning
	// stateEnded: the command ended by itself, see verdict.exit.
	stateEnded
	// stateFailed: it cannot start, or is lost.
	stateFailed
)

// verdict is what an observation means.
type verdict struct {
	state state
	// until is when to look again though nothing changed; zero: only on change.
	until time.Time
	// trouble: the kubelet is failing to start the container at this moment.
	trouble bool
	// pullError is the kubelet's word on a pull that failed just now.
	pullError string
	// unscheduled: no node has been found for the pod.
	unscheduled bool
	// container: it is the end of this one, beside the main one.
	container string
	// besideFailed: one beside has failed and the main one runs on.
	besideFailed bool
	// mainEnded: only those beside are waited for.
	mainEnded bool
	exit      int32
	reason    event.Reason
	message   string
}

// judge decides. It knows nothing but its arguments.
func judge(o observation, l limits) verdict {
	v := judgeMain(o, l)
	if len(o.beside) == 0 || v.state == stateFailed || v.state == stateEnded && v.exit != 0 {
		return v
	}
	return judgeBeside(o, l, v)
}

func judgeMain(o observation, l limits) verdict {
	pod, name := o.pod, mainContainer(o.pod)
	status := containerStatus(pod, name)
	if t := status.State.Terminated; t != nil && final(pod, t) {
		return ended(pod, t)
	}
	switch {
	case o.gone:
		return failed(event.ReasonPodFailed, "the pod was deleted before its command had ended%s", because(pod))
	case pod.Status.Phase == corev1.PodFailed, pod.Status.Phase == corev1.PodSucceeded:
		return failed(event.ReasonPodFailed, "the pod ended without running its command to the end%s", because(pod))
	case pod.DeletionTimestamp != nil:
		return deleting(o)
	case status.State.Running != nil, status.State.Terminated != nil, status.LastTerminationState.Terminated != nil:
		// Once it ran there is no limit; the kubelet runs a failed command again
		// where a podOverride asks for that.
		return verdict{state: stateRunning}
	}
	if v, found := startTrouble(o, l, name); found {
		return v
	}
	return waiting(o, l, status)
}

// final reports whether the end of the container is the end of the command: with
// another restart policy than Never, which a podOverride can set, the kubelet
// runs a command that failed again.
func final(pod *corev1.Pod, t *corev1.ContainerStateTerminated) bool {
	return t.ExitCode == 0 || pod.Spec.RestartPolicy == corev1.RestartPolicyNever || pod.Status.Phase == corev1.PodFailed
}

func ended(pod *corev1.Pod, t *corev1.ContainerStateTerminated) verdict {
	if t.Reason == "ContainerStatusUnknown" {
		return failed(event.ReasonPodFailed, "the node lost the container and does not know how it ended%s", because(pod))
	}
	v := verdict{state: stateEnded, exit: t.ExitCode}
	if t.ExitCode == 0 {
		return v
	}
	v.reason = event.ReasonPodFailed
	v.message = fmt.Sprintf("the command ended with exit code %d", t.ExitCode)
	if t.Signal != 0 {
		v.message = fmt.Sprintf("the command was ended by signal %d (exit code %d)", t.Signal, t.ExitCode)
	}
	switch t.Reason {
	case "", "Error", "Completed":
	case "OOMKilled":
		v.message += " because it used more memory than its limit (OOMKilled); raise the limit with podOverride"
	default:
		v.message += " (" + t.Reason + ")"
	}
	if t.Message != "" {
		v.message += ": " + strings.TrimSpace(t.Message)
	}
	if pod.DeletionTimestamp != nil {
		v.message += ", while the pod was being deleted"
	}
	v.message += because(pod)
	return v
}

func deleting(o observation) verdict {
	until := o.pod.DeletionTimestamp.Add(nodeGrace)
	if o.now.Before(until) {
		v := verdict{state: stateWaiting, until: until}
		if containerStatus(o.pod, mainContainer(o.pod)).State.Running != nil {
			v.state = stateRunning
		}
		return v
	}
	return failed(event.ReasonPodFailed, "the pod is being deleted and its node %s does not confirm it; the command may still be running there%s",
		o.pod.Spec.NodeName, because(o.pod))
}

// reasonBackOff is the kubelet's word for waiting before it pulls again.
const reasonBackOff = "ImagePullBackOff"

// trouble is one container that the kubelet fails to start.
type trouble struct {
	container, reason, message string
	pull, permanent            bool
}

// classify tells whether a waiting reason of the kubelet is an error.
func classify(reason string) (t trouble, isTrouble bool) {
	switch reason {
	case "ErrImagePull", reasonBackOff, "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed":
		return trouble{pull: true}, true
	case "InvalidImageName", "ErrImageNeverPull":
		return trouble{pull: true, permanent: true}, true
	case "CreateContainerConfigError", "CreateContainerError", "PreCreateHookError", "PreStartHookError", "PostStartHookError", "RunContainerError":
		return trouble{}, true
	default:
		return trouble{}, false
	}
}

func findTrouble(pod *corev1.Pod, name string) (trouble, bool) {
	own := []corev1.ContainerStatus{containerStatus(pod, name)}
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, own) {
		waiting := status.State.Waiting
		if waiting == nil {
			continue
		}
		if t, found := classify(waiting.Reason); found {
			t.container, t.reason, t.message = status.Name, waiting.Reason, strings.TrimSpace(waiting.Message)
			return t, true
		}
	}
	return trouble{}, false
}

// startTrouble gives the kubelet some time to succeed after all: a registry
// comes back, a Secret appears. What cannot change fails at once.
func startTrouble(o observation, l limits, name string) (verdict, bool) {
	t, found := findTrouble(o.pod, name)
	if !found {
		return verdict{}, false
	}
	since := o.troubleSince
	if since.IsZero() {
		since = o.now
	}
	if t.reason == reasonBackOff && !strings.Contains(t.message, o.pullError) {
		t.message += ": " + o.pullError
	}
	until := since.Add(l.pull)
	if !t.permanent && o.now.Before(until) {
		v := verdict{state: stateWaiting, until: until, trouble: true}
		if t.pull && t.reason != reasonBackOff {
			v.pullError = t.message
		}
		return v, true
	}
	v := failed(event.ReasonPodFailed, "container %q cannot be started: %s: %s", t.container, t.reason, t.message)
	if t.pull {
		v = failed(event.ReasonImagePull, "image %q (container %q) cannot be pulled: %s: %s",
			imageOf(o.pod, t.container), t.container, t.reason, t.message)
	}
	if strings.Contains(t.message, "runAsNonRoot") {
		v.message += "; the namespace enforces Pod Security restricted: use an image with a numeric user, or set runAsUser with podOverride"
	}
	v.trouble = true
	return v, true
}

func waiting(o observation, l limits, status corev1.ContainerStatus) verdict {
	unscheduled := condition(o.pod, corev1.PodScheduled)
	v := verdict{state: stateWaiting, until: o.followed.Add(l.start)}
	v.unscheduled = unscheduled.Status == corev1.ConditionFalse
	if o.now.Before(v.until) {
		return v
	}
	why := "no node has taken it"
	switch {
	case v.unscheduled:
		why = unscheduled.Reason + ": " + unscheduled.Message
	case status.State.Waiting != nil:
		why = strings.TrimSuffix(status.State.Waiting.Reason+": "+status.State.Waiting.Message, ": ")
	case o.pod.Spec.NodeName != "":
		why = "node " + o.pod.Spec.NodeName + " has not started it"
	}
	late := failed(event.ReasonPodFailed, "the pod did not start within %s: %s", l.start, why)
	late.unscheduled = v.unscheduled
	return late
}

func failed(reason event.Reason, format string, args ...any) verdict {
	return verdict{state: stateFailed, reason: reason, message: fmt.Sprintf(format, args...)}
}

// because adds what the cluster says about the pod's end: Evicted, NodeLost,
// DeadlineExceeded, a disruption.
func because(pod *corev1.Pod) string {
	var words []string
	if pod.Status.Reason != "" || pod.Status.Message != "" {
		words = append(words, strings.Trim(pod.Status.Reason+": "+strings.TrimSpace(pod.Status.Message), ": "))
	}
	if c := condition(pod, corev1.DisruptionTarget); c.Status == corev1.ConditionTrue {
		words = append(words, strings.Trim(c.Reason+": "+c.Message, ": "))
	}
	for _, s := range pod.Status.InitContainerStatuses {
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			words = append(words, fmt.Sprintf("init container %s ended with exit code %d", s.Name, t.ExitCode))
		}
	}
	if len(words) == 0 {
		return ""
	}
	return " (" + strings.Join(words, "; ") + ")"
}

func containerStatus(pod *corev1.Pod, name string) corev1.ContainerStatus {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == name {
			return s
		}
	}
	return corev1.ContainerStatus{Name: name}
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

func imageOf(pod *corev1.Pod, container string) string {
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}
