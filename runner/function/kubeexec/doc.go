// Package kubeexec has the functions KubeExec and KubeExecAll: a command in
// containers that are already there.
//
// The command runs over the API server's exec stream, by WebSocket and, where
// something on the way refuses that, by SPDY, as kubectl does. Only stdout is read
// for phase outputs; frames of the stream end anywhere, also inside a marker.
// Stdout and stderr go to the log, line by line, with secret values replaced, and
// their last lines into the error of a command that fails.
//
// A stream cannot be taken up again: when it is lost, nobody can know how far the
// command came. So the functions are not run again by themselves (blueprint.Once).
// Ending the stream, as a cancel does, does not end the command, because the
// kubelet does not signal it; a command that writes gets an error at its next
// write.
package kubeexec
