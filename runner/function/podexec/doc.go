// Package podexec runs a command in a container that is already there.
//
// The command runs over the API server's exec stream, by SPDY and, where something
// on the way does not let that through, by WebSocket. (kubectl prefers WebSocket.)
// The reason is what a lost connection looks like. By SPDY the kubelet's own word
// on how the command ended reaches us, so a connection that ends without it is a
// failure. By WebSocket the API server translates, and it takes a connection to the
// kubelet that breaks for a command that ended well (v1.37, streamtranslator.go): a
// node that dies in the middle of a quiesce would count as done. With WebSocket,
// only the loss of the connection to the API server is seen.
//
// Only stdout is read for phase outputs; frames of the stream end anywhere, also
// inside a marker. Stdout and stderr go to the log, line by line, with secret values
// replaced, and their last lines into the error of a command that fails.
//
// A stream cannot be taken up again: when it is lost, nobody can know how far the
// command came. So functions that use it are not run again by themselves (blueprint.Once).
// Ending the stream, as a cancel does, does not end the command, because the
// kubelet does not signal it; a command that writes gets an error at its next
// write.
package podexec
