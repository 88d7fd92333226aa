// Package serve runs Salvor's roles in one process: "salvor serve".
//
//	probe server   /healthz from the first moment, /readyz and /metrics
//	broker         embedded JetStream server, unless --nats names another
//	connect        reconnects for ever
//	streams        created or updated, tried again until the broker takes them
//	roles          each in a goroutine of one group; the first error ends all
//
// The end goes the same way back. When the context ends the roles have Grace to
// end; then the connection is drained, so that what they published last is on
// the server, and the broker stops and closes its store. A role that is still
// there after Grace is left behind: everything it does is safe to be cut off
// (see package runner), and a process that does not end is
// killed by its supervisor anyway.
//
// Readiness is that of the roles and of the connection. Liveness is only that
// the process answers: to restart it because a broker elsewhere is away would
// turn one outage into two.
package serve
