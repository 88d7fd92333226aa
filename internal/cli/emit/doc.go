// Package emit sends a CloudEvent to Salvor's bridge over HTTP, and can wait for
// what it starts: "salvor emit".
//
// The id is what makes an event happen once: the bridge makes one ActionSet of
// a source and id, however often they arrive. Who may have to send an event
// again (a hook that is retried) therefore gives an id of its own; the default
// is a random one. For the same reason the command itself may send the event again
// whenever it does not know that it arrived: it does so until --timeout, while the
// bridge is away (nobody listens, no answer, 502, 503, 504) or full (429). What is
// refused for another reason is refused again, so it ends the command.
//
//	POST …/events[/ns]            until 202 (or 200)
//	GET  …/events[/ns]/outcome    until done; each request is held back by the
//	                              bridge until something changes
//
// Everything that waits can be lost and asked for again: what became of an event is
// kept by the bridge, so a pod of a hook that is killed and replaced, with the same
// id, sends a duplicate and waits for the same runs.
//
// Progress goes to the standard error; the exit code is the contract with scripts.
package emit
