package function

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PodRunner runs one pod for a call and follows it to its end. The runner
// implements it on one informer for all pods.
type PodRunner interface {
	// Run creates the pod, or adopts the one that has its name, follows the log
	// of one container from the start, and returns when the container has ended.
	// It never deletes the pod, also not when ctx ends: the runner does, once the
	// report is stored. Deleted before, the loss of the runner at that moment
	// would make the next one run the command again. If the pod cannot start,
	// fails or is lost, an *Error says why, with the kubelet's reason and the last
	// lines of the log.
	Run(ctx context.Context, call *Call, spec PodSpec) (map[string]any, error)
}

// PodMarks remembers the pod of an attempt for longer than the pod or the runner
// lasts, so that a pod which was lost is not made a second time.
type PodMarks interface {
	// Marked returns the UID of the pod of that part, or nothing.
	Marked(ctx context.Context, part string) (types.UID, error)
	// Mark remembers the pod and returns the UID that is remembered, which is
	// another one if another was marked before. Several parts may be marked at once.
	Mark(ctx context.Context, part string, uid types.UID) (types.UID, error)
}

// PodSpec is what a function knows of its pod. The runner adds the name, labels
// and annotations of the call, podOverride and the namespace's defaults.
type PodSpec struct {
	// Namespace of the pod; empty means Salvor's own.
	Namespace string
	Image     string
	Command   []string
	// Volumes maps a claim's name to the path it is mounted at.
	Volumes map[string]string
	// ServiceAccount; empty means the namespace's default.
	ServiceAccount string
	// Override, Labels and Annotations as the blueprint's arguments give them.
	Override    map[string]any
	Labels      map[string]string
	Annotations map[string]string
	// Part tells the pods of a call apart that runs several: any text that is the
	// same when the call is repeated. Empty means the call's only pod.
	Part string
	// SecretEnv are variables of the main container whose values are secret. They are
	// in a Secret that is named like the pod and goes with it, never in the pod's spec.
	SecretEnv map[string]string
	// Main names the container that Image and Command are for, whose log is read;
	// empty means "container".
	Main string
	// Beside names containers, made by Base, whose good end the phase needs as well.
	Beside []string
	// Base changes the pod's spec before any override, if not nil.
	Base func(*corev1.PodSpec)
	// IgnoreExit: a command that fails still ends the phase well (PrepareData
	// without failOnError).
	IgnoreExit bool
	// Modify changes the finished pod last, if not nil.
	Modify func(*corev1.Pod)
}
