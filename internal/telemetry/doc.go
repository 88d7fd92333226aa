// Package telemetry makes traces of runs and exports them as OTLP over HTTP.
//
//	trace of the event ─► run ─► action ─► phase, one span per attempt ─► what the pod makes
//	                  └─► accept
//
// # The trace context of a run
//
// is the traceparent of the event that led to it, carried by the annotation
// salvor.io/traceparent. A run without one gets one that is made from its UID, so that
// its pods, events and logs have a trace in any case.
//
// # Ids are hashes
//
// The id of a span is a hash of what it is about: the run and the round, the action,
// the key of the attempt. So the runner can tell a pod (TRACEPARENT) the id of a span
// that the dispatcher will export later, perhaps after a restart, and exporting one
// twice does no harm. The span of a run whose context was made up has the id of that
// context and no parent: it is the root.
//
// # When spans are made
//
// Ended compares two states of a run and returns the spans of what ended in between;
// it is pure. The dispatcher exports them after it wrote the newer state. One that dies
// between the two loses those spans: traces are for people, and nothing depends on
// them. A span says names, states and reasons, no arguments, outputs or messages.
//
// # A collector that is away
//
// costs nothing: spans wait in a bounded queue and are dropped when it is full, and the
// end of the process waits for the exporter for a second. Without an endpoint there is
// no exporter, and a nil *Exporter does nothing.
package telemetry
