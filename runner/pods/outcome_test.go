package pods

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/api/event"
)

func TestJudge(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := start.Add
	l := limits{pull: 90 * time.Second, start: 15 * time.Minute}
	type change func(*observation)
	pending := func(o *observation) { o.pod.Status.Phase = corev1.PodPending }
	container := func(s corev1.ContainerState) change {
		return func(o *observation) {
			o.pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "sidecar"}, {Name: "container", State: s}}
		}
	}
	waits := func(reason, message string) change {
		return container(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}})
	}
	ends := func(code int32, reason string) change {
		return container(corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason}})
	}
	running := container(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}})
	gone := func(o *observation) { o.gone = true }
	deleted := func(o *observation) { o.pod.DeletionTimestamp = &metav1.Time{Time: at(time.Minute)} }
	now := func(d time.Duration) change { return func(o *observation) { o.now = at(d) } }
	phase := func(p corev1.PodPhase, reason, message string) change {
		return func(o *observation) {
			o.pod.Status.Phase, o.pod.Status.Reason, o.pod.Status.Message = p, reason, message
		}
	}
	restart := func(p corev1.RestartPolicy) change { return func(o *observation) { o.pod.Spec.RestartPolicy = p } }
	troubled := func(d time.Duration) change { return func(o *observation) { o.troubleSince = at(d) } }
	unschedulable := func(o *observation) {
		o.pod.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/1 nodes are available",
		}}
	}

	tests := map[string]struct {
		changes []change
		want    verdict
		message string
	}{
		"new": {[]change{pending}, verdict{state: stateWaiting, until: at(15 * time.Minute)}, ""},
		"container is being made": {
			[]change{pending, waits("ContainerCreating", "")},
			verdict{state: stateWaiting, until: at(15 * time.Minute)},
			"",
		},
		"running":           {[]change{running}, verdict{state: stateRunning}, ""},
		"running, long ago": {[]change{running, now(time.Hour)}, verdict{state: stateRunning}, ""},
		"ended well":        {[]change{ends(0, "Completed")}, verdict{state: stateEnded}, ""},
		"ended well beside a sidecar that runs on": {
			[]change{ends(0, "Completed"), phase(corev1.PodRunning, "", "")}, verdict{state: stateEnded}, "",
		},
		"ended well, then deleted": {[]change{ends(0, "Completed"), gone}, verdict{state: stateEnded}, ""},
		"ended with an error": {
			[]change{ends(3, "Error")},
			verdict{state: stateEnded, exit: 3, reason: event.ReasonPodFailed},
			"the command ended with exit code 3",
		},
		"out of memory": {
			[]change{ends(137, "OOMKilled")},
			verdict{state: stateEnded, exit: 137, reason: event.ReasonPodFailed},
			"more memory than its limit (OOMKilled)",
		},
		"command not found": {
			[]change{ends(128, "StartError")},
			verdict{state: stateEnded, exit: 128, reason: event.ReasonPodFailed},
			"exit code 128 (StartError)",
		},
		"ended by deletion": {
			[]change{ends(143, "Error"), deleted},
			verdict{state: stateEnded, exit: 143, reason: event.ReasonPodFailed},
			"while the pod was being deleted",
		},
		"evicted": {
			[]change{ends(137, "Error"), phase(corev1.PodFailed, "Evicted", "The node was low on resource: memory.")},
			verdict{state: stateEnded, exit: 137, reason: event.ReasonPodFailed},
			"(Evicted: The node was low on resource: memory.)",
		},
		"container lost by its node": {
			[]change{ends(137, "ContainerStatusUnknown")},
			verdict{state: stateFailed, reason: event.ReasonPodFailed},
			"the node lost the container",
		},
		"error, but the kubelet runs it again": {
			[]change{ends(1, "Error"), restart(corev1.RestartPolicyOnFailure), phase(corev1.PodRunning, "", "")},
			verdict{state: stateRunning},
			"",
		},
		"error for good under OnFailure": {
			[]change{ends(1, "Error"), restart(corev1.RestartPolicyOnFailure), phase(corev1.PodFailed, "DeadlineExceeded", "too long")},
			verdict{state: stateEnded, exit: 1, reason: event.ReasonPodFailed},
			"DeadlineExceeded: too long",
		},
		"success under Always": {[]change{ends(0, ""), restart(corev1.RestartPolicyAlways)}, verdict{state: stateEnded}, ""},
		"refused by the node": {
			[]change{phase(corev1.PodFailed, "OutOfmemory", "Pod was rejected: Node didn't have enough resource: memory")},
			verdict{state: stateFailed, reason: event.ReasonPodFailed},
			"OutOfmemory: Pod was rejected",
		},
		"init container failed": {
			[]change{phase(corev1.PodFailed, "", ""), waits("PodInitializing", ""), func(o *observation) {
				o.pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
					Name: "prepare", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 7}},
				}}
			}},
			verdict{state: stateFailed, reason: event.ReasonPodFailed},
			"init container prepare ended with exit code 7",
		},
		"deleted by hand": {
			[]change{running, gone}, verdict{state: stateFailed, reason: event.ReasonPodFailed}, "the pod was deleted before its command had ended",
		},
		"disrupted": {
			[]change{running, gone, func(o *observation) {
				o.pod.Status.Conditions = []corev1.PodCondition{{
					Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager", Message: "node is out of service",
				}}
			}},
			verdict{state: stateFailed, reason: event.ReasonPodFailed},
			"DeletionByTaintManager: node is out of service",
		},
		"being deleted while it runs": {
			[]change{running, deleted}, verdict{state: stateRunning, until: at(time.Minute + nodeGrace)}, "",
		},
		"being deleted before it runs": {
			[]change{pending, deleted}, verdict{state: stateWaiting, until: at(time.Minute + nodeGrace)}, "",
		},
		"node does not answer": {
			[]change{running, deleted, now(2 * time.Minute)},
			verdict{state: stateFailed, reason: event.ReasonPodFailed},
			"its node node-1 does not confirm it",
		},
		"image not pulled, first seen": {
			[]change{pending, waits("ErrImagePull", "not found"), now(time.Second)},
			verdict{state: stateWaiting, until: at(91 * time.Second), trouble: true, pullError: "not found"},
			"",
		},
		"back-off of an older kubelet": {
			[]change{pending, waits("ImagePullBackOff", "Back-off pulling image"), troubled(time.Second), now(91 * time.Second), func(o *observation) {
				o.pullError = "manifest unknown"
			}},
			verdict{state: stateFailed, reason: event.ReasonImagePull, trouble: true},
			"Back-off pulling image: manifest unknown",
		},
		"image not pulled, still within limits": {
			[]change{pending, waits("ImagePullBackOff", "x"), troubled(time.Second), now(time.Minute)},
			verdict{state: stateWaiting, until: at(91 * time.Second), trouble: true},
			"",
		},
		"image not pulled": {
			[]change{pending, waits("ImagePullBackOff", `Back-off pulling image "postgres:0": not found`), troubled(time.Second), now(91 * time.Second)},
			verdict{state: stateFailed, reason: event.ReasonImagePull, trouble: true},
			`image "postgres:0" (container "container") cannot be pulled: ImagePullBackOff: Back-off pulling`,
		},
		"image name that cannot be one": {
			[]change{pending, waits("InvalidImageName", "bad reference")},
			verdict{state: stateFailed, reason: event.ReasonImagePull, trouble: true},
			"InvalidImageName: bad reference",
		},
		"image must be there and is not": {
			[]change{pending, waits("ErrImageNeverPull", "not present")},
			verdict{state: stateFailed, reason: event.ReasonImagePull, trouble: true},
			"ErrImageNeverPull",
		},
		"image of an init container": {
			[]change{pending, waits("PodInitializing", ""), troubled(0), now(2 * time.Minute), func(o *observation) {
				o.pod.Spec.InitContainers = []corev1.Container{{Name: "prepare", Image: "nope"}}
				o.pod.Status.InitContainerStatuses = []corev1.ContainerStatus{{
					Name: "prepare", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no"}},
				}}
			}},
			verdict{state: stateFailed, reason: event.ReasonImagePull, trouble: true},
			`image "nope" (container "prepare")`,
		},
		"configuration": {
			[]change{pending, waits("CreateContainerConfigError", `secret "db" not found`), troubled(0), now(2 * time.Minute)},
			verdict{state: stateFailed, reason: event.ReasonPodFailed, trouble: true},
			`CreateContainerConfigError: secret "db" not found`,
		},
		"runs as root where it must not": {
			[]change{pending, waits("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"), troubled(0), now(2 * time.Minute)},
			verdict{state: stateFailed, reason: event.ReasonPodFailed, trouble: true},
			"set runAsUser with podOverride",
		},
		"trouble is over": {[]change{running, troubled(0), now(time.Hour)}, verdict{state: stateRunning}, ""},
		"unschedulable": {
			[]change{pending, unschedulable}, verdict{state: stateWaiting, until: at(15 * time.Minute), unscheduled: true}, "",
		},
		"unschedulable for too long": {
			[]change{pending, unschedulable, now(15 * time.Minute)},
			verdict{state: stateFailed, reason: event.ReasonPodFailed, unscheduled: true},
			"did not start within 15m0s: Unschedulable: 0/1 nodes are available",
		},
		"not started in time": {
			[]change{pending, waits("ContainerCreating", ""), now(time.Hour)},
			verdict{state: stateFailed, reason: event.ReasonPodFailed},
			"did not start within 15m0s: ContainerCreating",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := observation{now: start, followed: start, pod: &corev1.Pod{Spec: corev1.PodSpec{
				NodeName: "node-1", RestartPolicy: corev1.RestartPolicyNever,
				Containers: []corev1.Container{{Name: "sidecar"}, {Name: "container", Image: "postgres:0"}},
			}}}
			for _, c := range tt.changes {
				c(&o)
			}
			got := judge(o, l)
			assert.Contains(t, got.message, tt.message)
			if tt.message == "" {
				assert.Empty(t, got.message)
			}
			got.message = ""
			assert.Equal(t, tt.want, got)
		})
	}
}
