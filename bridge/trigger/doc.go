// Package trigger makes ActionSets from events: the second half of the event
// front door, and the only writer of ActionTrigger status.
//
//	EVENTS ──durable consumer──► handle ──match, loop, authorize, key──┬──► ActionSet ──► ack
//	ActionTriggers ──informer──────┘                                   └──► gate ──► ack
//	                                                  TRIGGERS ◄──CAS── keeper ──► ActionSet
//	OUTCOMES ◄── what became of each event;  ActionTrigger.status ◄── Tell, once a second
//
// Events from outside, ticks of schedules, what was seen at Kubernetes objects and
// Salvor's own lifecycle events all come this way. What a trigger means is package
// internal/trigger's to say; one that is wrong never fires, says why in its condition
// Ready, and costs the others nothing.
//
// # Once
//
// Without coalesce, Forbid, Replace and a rate limit an event alone decides. The
// ActionSet's name is the trigger's and a hash of (trigger UID, event source, event
// id), so an event that is delivered again meets its own ActionSet (AlreadyExists) for
// as long as that is kept. The message is acknowledged after all ActionSets of the
// event exist.
//
// With any of those, the record of (trigger UID, key) in TRIGGERS decides: package
// gate. All events that come while a record is written are in the next write together,
// and are acknowledged after the write that holds them. The keeper of this process
// follows the bucket, so it knows the windows of before a restart and those of other
// bridges; whoever wrote a record last sees to what is due, another one a little
// later. If both do, the compare-and-set lets one win, and the names make the other's
// ActionSet the same.
//
// # Nothing waits behind another's fault
//
// A fault that will not pass (Invalid, Forbidden, NotFound, a template that does not
// fit the event) is told in the trigger's condition, in the log and to who waits for
// the event, and the message is acknowledged. For one that may pass the message is
// given back once. The second time the event is parked, in a record of its own without
// rules, and acknowledged: the consumer gives out a bounded number of events that are
// not acknowledged, and those of one namespace whose webhook does not answer must not
// take all of them. Each event is handled in a goroutine of its own, so none waits for
// the one before it, and of the ActionSets that are made at the same time only some
// may be of one namespace.
//
// # Who may fire
//
// An event whose sender was authenticated needs the verb "fire" on the ActionTrigger,
// by SubjectAccessReview; answers count for ten seconds. Nobody was asked about an
// event without a sender, and Salvor's own need no right.
//
// # Loops
//
// An ActionSet carries the UIDs of the triggers that led to it, and so does the event
// of its end. A trigger whose UID is in the chain of an event is not started by it, nor
// is any at the end of a chain of 16: the condition LoopDetected names the chain and
// stands until the trigger is changed.
//
// # Which triggers see an event
//
// An event that was addressed to a namespace is seen by the triggers of that
// namespace; one addressed to none, by all. Names, namespaces, profiles and pod
// overrides of the ActionSet are what the trigger says; only values of labels,
// annotations and options come from the event. Artifacts come from it by way of the
// ActionSet that it tells of (artifactsFrom: Run), of the same namespace, and only if
// that is still the same one.
//
// A suspended trigger sees no event. What waits at it since before waits on, as it does
// at one that was made invalid meanwhile. What waits at one that is deleted ends with
// it, and those who wait for it are told.
//
// # The answer
//
// What became of an event from outside is written to OUTCOMES once all triggers have
// decided. Where events wait together, it names a window, and what became of that is
// written under the window's key when it is known. Bridges of different namespaces
// that see the same event add their parts.
//
// # When an ActionSet has ended
//
// Concurrency has to know. The lifecycle event says it at once. A look every ten
// seconds finds what no event told, such as a deletion; and before Forbid rejects an
// event, the ActionSet it would be rejected for is looked at, at most once a second.
//
// # A trigger made a moment ago
//
// Its watch event may be still on its way when the first event arrives. An event
// that matches nothing is therefore looked at once more after settle.
//
// # Counts
//
// in status are of events, each counted once when it is decided on. They are written
// once a second, so a crash may lose the last second of them; the number of events on
// an ActionSet (annotation salvor.io/events) is exact.
package trigger
