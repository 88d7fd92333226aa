// Package feed shows lifecycle events to who asks for them over HTTP.
//
//	GET /lifecycle              of all namespaces
//	GET /lifecycle/{namespace}  of one
//
//	since=2026-11-22T03:00:00Z  or since=1h: what was stored since then
//	after=N                     what follows the event with this number
//	type=run                    types that begin with it; io.salvor. may be left out
//	follow=true                 go on with what happens from now on
//
// Without since and after, all that EVENTS keeps is shown; with follow, nothing of
// the past. The answer is NDJSON: a CloudEvent as JSON per line, oldest first. The
// extension sequence is its number, with which one goes on after a connection broke; the
// header Salvor-Sequence has that of the last event when the answer began.
// While nothing happens an empty line comes every 15 s, so that either side notices
// that the other is gone.
//
// # Who may see it
//
// The event endpoint authenticates (package ingress mounts the feed). A sender with an
// identity needs the right to watch ActionSets of the namespace, or of all: that is
// what lifecycle events tell about. One without an identity (a token of the token
// file, or no authentication at all) sees everything.
//
// # Who waits for whom
//
// Each request has an ephemeral consumer of its own. A reader that does not read is
// cut off after half a minute, and so many readers at a time are served.
package feed
