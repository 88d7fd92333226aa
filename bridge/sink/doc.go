// Package sink sends lifecycle events to HTTP endpoints: the way out.
//
//	EVENTS ──durable consumer per sink──► Sink ──POST, binary content mode──► endpoint
//	                                        └── given up ──► DLQ
//
// # At least once, in order
//
// An event is acknowledged after the endpoint answered 2xx, or after it lies on DLQ.
// A crash in between sends it again, with the same id. Events of one run are sent one
// after the other in the order in which they happened: while one of them is tried
// again, the later ones of its run wait, and those of other runs go on. (Two bridges
// that share a sink share its consumer too, and then two events of one run may
// overtake each other.)
//
// # What the answer means
//
//	2xx              delivered
//	408, 429, 5xx    tried again, after Retry-After if that is longer than the backoff
//	no answer        tried again
//	3xx              given up: a redirected POST would be a GET, or go who knows where
//	other 4xx        given up: the same again would be refused again; but for 401 where
//	                 a token was sent, which may be renewed
//
// After Attempts, or when the event is older than MaxAge, it is given up too. What is
// given up is a dead letter on DLQ that names the sink, the last answer and the whole
// event. A restart begins to count attempts anew; the age it knows.
//
// Retry-After holds for the sink as a whole: one that says 429 is left alone.
//
// # Who waits for whom
//
// Nobody. Each sink has its own consumer, its own requests and its own limit of events
// in hand, so one that is slow or dead delays its own events only. They wait on EVENTS
// meanwhile.
//
// # What is sent
//
// The lifecycle events of package event, as they are on the stream, with the
// extensions of K_CE_OVERRIDES on top. A sink begins with what happens after it was
// first seen. One that is not configured any more is forgotten after a week.
//
// A sink whose host has a file among Tokens is sent the bearer token in it. By host, so
// that no endpoint is shown the token of another.
//
// # What is never said
//
// The address of a sink may hold a token, so logs, metrics and dead letters name its
// host and a hash.
package sink
