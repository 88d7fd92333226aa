// Package ingress is the HTTP front door for CloudEvents.
//
//	sender ──POST /events[/namespace]──► authenticate ──► decode ──► EVENTS ──► 202
//	       ◄──200 outcomes, if it waits──────────────── OUTCOMES, ActionSets ◄──┘
//
// The answer 202 is given only after the stream has acknowledged every event of
// the request as stored. What cannot be taken is refused with words that say why,
// and one word that is the label of the metric too; nothing is dropped silently.
//
//	202  stored; {"accepted":n,"duplicates":m}
//	200  stored and decided, for who waits: a list of outcomes
//	400  malformed; names the attribute (and, in a batch, the event)
//	401  unauthorized, audience, signature, expired, replayed
//	403  forbidden: known, but may not; origin: of a handshake
//	404  path, namespace; undecided: nothing is known of the event
//	405  method
//	408  timeout: the body came too slowly; Retry-After says when to come again
//	413  too_large
//	415  media_type: a CloudEvents format other than JSON
//	429  rate of this sender; full: the stream, or the room for bodies of requests under
//	     way. Retry-After says when to come again
//	503  unavailable: the stream or the API server; Retry-After likewise
//
// # Who sends
//
// Each way of authentication is an Authenticator; whoever is let in by any of the
// configured ones is in, and its identity is stored with the event, for the triggers to
// ask RBAC about. The body is read before that only for a signature, and within its
// limit. A refusal is as telling as the most telling of the ways: "audience" is of
// more use than "unauthorized".
//
// A client certificate is asked for in the handshake and verified with the request.
// The sender has proved by then that it owns the key; what is left, who signed it and
// whether it is still valid, can be answered with a status and a reason only here,
// and a changed file of authorities counts at once.
//
// Users and groups that do not come from the API server have a prefix, so that a key
// or a certificate for events never names a user or group of the cluster.
//
// # Signatures
//
// They follow Standard Webhooks. Its Go library has one release of version 0.0.1,
// takes one secret, reads the wall clock and does not tell which signature was valid,
// which has to be known to count it once; the part that is left is crypto/hmac. A
// signature that was used is marked in LEASES for as long as its timestamp would be
// taken, so all bridges know it and a restart does not forget it. If nothing becomes
// of the request the mark is taken away, since the sender is told to send it again.
// Headers are not signed, so events in headers are refused; a question (GET) is signed
// with its query in the place of the body.
//
// # Decoding
//
// Binary mode is read by the SDK. The JSON format is read here: the SDK's reader takes
// data of application/vnd.x+json for text, lets the last of two equal members win and
// changes what it cannot read. What readers could understand in two ways is refused.
//
// # Batches
//
// All events of a batch are checked before the first is stored, so a malformed
// one refuses the whole. If the stream fails half-way the request fails, and
// what was stored before is a duplicate when the sender repeats it.
//
// # Outcomes
//
// What triggers did with an event is read from OUTCOMES, what became of the ActionSets
// from the API server, both by looking again with growing pauses: an outcome has many
// parts, each of which changes on its own, and who waits is answered in a second or
// less. A sender with an identity sees what it may fire. Those that wait are bounded;
// one more is answered at once.
//
// # Limits
//
// A sender's share is a token bucket by its name, or by its address when nobody is
// asked. The buckets are an LRU of fixed size, so a flood of senders takes no more
// memory. Tokens that are not remembered reach the API server at a bounded rate.
//
// # What a sender cannot do
//
// Only context attributes are written to the stream, each as a ce- header, so
// that no header which NATS itself gives a meaning to (Nats-Schedule,
// Nats-Rollup…) can get there, nor the one that says who sent the event. Attribute
// values hold no control characters. Sources below /salvor/, types below io.salvor. and
// extensions that begin with salvor are Salvor's own and are refused.
//
// What became of an event is told to the user who sent it, and of one without a
// sender to everybody who may send: another user's event of the same source and id is
// another event, and can neither hide nor answer for it.
package ingress
