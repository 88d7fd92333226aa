// Package pods runs the pods of phases: it makes them, adopts them, follows
// them to their end and takes them away. It implements function.PodRunner.
//
//	identity   a pod says by its labels which attempt of which phase it does
//	build      call + namespace + overrides → pod                       (pure)
//	outcome    pod + time → wait, running, ended, failed and why        (pure)
//	watch      one informer for every pod of every phase, fanned out by name
//	log        one container's log from the start, however often it is cut
//	run        the thin loop around them
//	lost       tells a pod that was lost from one that never was; clears earlier ones
//	secret     the Secret of a pod that is given secret values
//	cleanup    deletes the pods of an attempt; sweeps what nobody waits for
//
// # One effect
//
// The name of a pod is made from its key, so making it twice meets
// AlreadyExists, which means adopt: follow it and read its log from the start.
// The caller keeps the UID of the pod (function.PodMarks), so that a pod which is
// gone is told from one that never was: it fails the attempt, because how far its
// command came is not known. Before the pod of a later attempt is made, those of the
// others are deleted and seen to be gone; a pod whose command may be running is
// deleted with a second of grace, because without any the object would vanish
// before the command does.
//
// Run itself never deletes: a runner that died between deleting the pod and
// reporting would make the next one run the command again. The caller calls
// Cleanup once the report is stored; a pod that is left over because the runner
// died just there is known to have ended by the run's state, and is swept.
//
// A call may run several pods (function.PodSpec.Part): each has its name and its mark.
//
// # Secret values
//
// What function.PodSpec.SecretEnv holds is in a Secret with the pod's name, owned by the
// pod. The pod is made first: the kubelet waits for the Secret, and a runner that is
// lost in between leaves no Secret that nobody owns; the next one adopts the pod and
// makes the Secret. It goes with the pod, at once by delete and Cleanup, and in any case
// by the garbage collector.
//
// # Waiting
//
// Nothing is polled. Every pod carries the label salvor.io/run, one informer
// watches them all, and whoever follows a pod is woken by its name. Time limits
// are timers beside that.
//
// # The log
//
// A log stream can be cut at any byte: the kubelet closes it after four hours,
// API servers restart. What a phase publishes is last-wins by key, so the log is
// simply read again from the start: whole lines only, into the same parser,
// lines that were passed to the logger before are not passed again. When the
// container has ended the log is read once more to its end without following,
// because the end of a followed stream does not tell whether it was cut. A log
// that the kubelet rotated in between is read from where it still stands.
package pods
