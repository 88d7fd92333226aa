// Package ingress is the HTTP front door for CloudEvents.
//
//	sender ──POST /events[/namespace]──► Server ──► EVENTS ──► 202
//
// The answer 202 is given only after the stream has acknowledged every event of
// the request as stored. What cannot be taken is refused with words that say
// why; nothing is dropped silently.
//
//	202  stored; {"accepted":n,"duplicates":m}
//	400  malformed; names the attribute (and, in a batch, the event)
//	401  the bearer token is missing or wrong
//	404  another path, or a namespace this server does not serve
//	405  another method than POST
//	413  the body is over the limit
//	415  a CloudEvents format other than JSON
//	429  the stream is full, the sender too fast, or too much is being read at the same
//	     time; Retry-After says when to come again
//	503  the stream cannot be reached; Retry-After likewise
//
// # Batches
//
// All events of a batch are checked before the first is stored, so a malformed
// one refuses the whole. If the stream fails half-way the request fails, and
// what was stored before is a duplicate when the sender repeats it.
//
// # What a sender cannot do
//
// Only context attributes are written to the stream, each as a ce- header, so
// that no header which NATS itself gives a meaning to (Nats-Schedule,
// Nats-Rollup…) can get there. Attribute values hold no control characters.
// Sources below /salvor/ are Salvor's own and are refused.
//
// What became of an event is told to the user who sent it, and of one without a
// sender to everybody who may send: another user's event of the same source and id is
// another event, and can neither hide nor answer for it.
package ingress
