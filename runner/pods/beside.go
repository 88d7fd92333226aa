package pods

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/api/event"
)

// besideGrace is how long the main container may go on after one beside it has
// failed. The phase has failed by then; the main one may wait for something that
// never comes, or may be about to say what it met.
const besideGrace = 30 * time.Second

// judgeBeside is the verdict on a pod whose main container runs, or has ended well,
// when the containers beside it count too: the phase has ended well once all have.
// One of them that ended with an error fails it, for what the main one read from it
// may have been cut off without a sign.
func judgeBeside(o observation, l limits, main verdict) verdict {
	var going string
	for _, name := range o.beside {
		if !slices.ContainsFunc(o.pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == name }) {
			continue // a podOverride took it away
		}
		status := containerStatus(o.pod, name)
		t := status.State.Terminated
		switch {
		case t == nil || !final(o.pod, t):
			going = cmp.Or(going, name)
			if v, stuck := stuckBeside(o, l, main, status); stuck {
				return v
			}
		case t.ExitCode != 0:
			return failedBeside(o, main, name, t)
		}
	}
	if going == "" || main.state != stateEnded {
		return main
	}
	return awaitBeside(o, going)
}

// failedBeside gives the main container a moment to end.
func failedBeside(o observation, main verdict, name string, t *corev1.ContainerStateTerminated) verdict {
	v := ended(o.pod, t)
	v.container = name
	v.message = "container " + name + ": " + v.message
	if main.state == stateEnded {
		return v
	}
	since := o.besideFailed
	if since.IsZero() {
		since = o.now
	}
	if until := since.Add(besideGrace); o.now.Before(until) {
		main.besideFailed = true
		if main.until.IsZero() || until.Before(main.until) {
			main.until = until
		}
		return main
	}
	v.besideFailed = true
	return v
}

// stuckBeside looks at a container beside that has not started.
func stuckBeside(o observation, l limits, main verdict, status corev1.ContainerStatus) (verdict, bool) {
	switch {
	case o.gone, o.pod.DeletionTimestamp != nil, o.pod.Status.Phase == corev1.PodFailed, o.pod.Status.Phase == corev1.PodSucceeded,
		status.State.Running != nil, status.State.Terminated != nil:
		return verdict{}, false
	}
	v, found := startTrouble(o, l, status.Name)
	if !found {
		if v = waiting(o, l, status); v.state != stateFailed && main.state == stateWaiting {
			return verdict{}, false // the main one has more to say
		}
	}
	if v.state == stateWaiting && main.state == stateRunning {
		v.state = stateRunning
	}
	return v, true
}

// awaitBeside is the verdict once the main container has ended well.
func awaitBeside(o observation, name string) verdict {
	switch {
	case o.gone:
		return failed(event.ReasonPodFailed, "the pod was deleted before its container %s had ended%s", name, because(o.pod))
	case o.pod.Status.Phase == corev1.PodFailed, o.pod.Status.Phase == corev1.PodSucceeded:
		return failed(event.ReasonPodFailed, "the pod ended without running its container %s to the end%s", name, because(o.pod))
	}
	v := verdict{state: stateWaiting}
	if o.pod.DeletionTimestamp != nil {
		v = deleting(o)
	}
	v.container, v.mainEnded = name, true
	return v
}
