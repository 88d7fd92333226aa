// Package kubefile answers the reads of an API server from files, or passes them on to
// one, and shows no secret value to whoever reads: it is what "salvor render" looks
// through.
//
// It stands at the transport, below the clients, so that the code which resolves and
// renders a blueprint is that of dispatcher and runner, to the letter, and so that
// nothing it does can change a cluster: a request that is no read is refused here.
//
// # Why values are replaced, and not masked afterwards
//
// What a template makes of a secret value (upper case, a hash, the half of it) is not
// found in a text any more. So every value of a Secret is replaced by Mask before
// anybody sees it, and what templates make of Mask is no secret. It is chosen so that
// templates take it for a value: it is text, and base64 of something. A template that
// takes a value apart (fromJson) or compares it does something else than it would with
// the real one.
package kubefile

// Mask stands for every value of every Secret.
const Mask = "SALVORMASKEDVALUE000"
