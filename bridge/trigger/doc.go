// Package trigger makes ActionSets from events: the second half of the event
// front door.
//
//	EVENTS ──durable consumer──► Controller ──match──► ActionSet (create) ──► ack
//	ActionTriggers ──informer──────┘   └──► ActionTrigger.status
//
// # Once
//
// The ActionSet's name is the trigger's and a hash of (trigger UID, event
// source, event id), so an event that is delivered again meets its own ActionSet
// (AlreadyExists) for as long as that is kept. The message is acknowledged after
// all ActionSets of the event exist. A fault that may pass (the API server is
// away) gives the message back with a growing delay; one that will not
// (Invalid, Forbidden, NotFound) is told in the trigger's condition and the log,
// and the message is acknowledged, because no repetition would help.
//
// # Which triggers see an event
//
// An event that was addressed to a namespace is seen by the triggers of that
// namespace; one addressed to none, by all. Nothing of the ActionSet is taken
// from the event but the annotations that name it. Salvor's own events (source
// below /salvor/) match no trigger yet: chaining needs the loop detection that
// comes with it.
//
// # A trigger made a moment ago
//
// Its watch event may be still on its way when the first event arrives. An event
// that matches nothing is therefore looked at once more after Settle.
package trigger
