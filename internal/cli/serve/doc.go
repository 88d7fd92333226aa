// Package serve runs Salvor's roles in one process: "salvor serve".
//
//	probe server   /healthz from the first moment, /readyz and /metrics
//	broker         embedded JetStream server, alone or a member of a cluster, unless --nats names another
//	connect        reconnects for ever
//	generation     streams, roles and watch; the next one begins when the streams are lost
//	  streams      created or updated, tried again until the broker takes them
//	  roles        each in a goroutine of one group; the first error ends all
//	  watch        looks whether the streams are still the same, and how durable they are
//
// # The loss of the store
//
// A stream that is gone, or has another time of creation, takes with it what the
// roles know of it: positions, revisions, claims. A reader would go on behind the
// end of the new stream and see nothing. So all roles are ended and made anew, with
// metrics of their own, as if the process had started, and the bridge makes the runs
// again from their ActionSets. The server's advisories make it quick, a look every
// few seconds makes it certain. A loss counts when it is seen twice: a cluster that
// has just elected a leader may not know all of its streams for a moment.
//
// # The end
//
// The end goes the same way back. When the context ends the roles have Grace to
// end; then the connection is drained, so that what they published last is on
// the server, and the broker stops and closes its store. A role that is still
// there after Grace is left behind: everything it does is safe to be cut off
// (see package runner), and a process that does not end is
// killed by its supervisor anyway. All of it together takes at most ten seconds.
//
// Readiness is that of the roles and of the connection. Liveness is only that
// the process answers: to restart it because a broker elsewhere is away would
// turn one outage into two.
package serve
