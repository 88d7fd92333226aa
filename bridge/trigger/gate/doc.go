// Package gate decides what becomes of the events of one trigger with one key, where
// an event alone cannot: coalesce, concurrency and rate limit. It is pure: a State is
// the record in the bucket TRIGGERS, and each function says what the record is then.
//
//	Arrive ──► wait (Window) ──Turn: due, free, room──► Starting ──Started──► Active ──Ended──► gone
//	   │                                                   └──Refused──► gone
//	   └─► rejected, or known already
//
// # Never lost, never twice
//
// The caller writes the State by compare-and-set after each batch of calls and only
// then acknowledges events and does what Turn asks for. So whatever is lost in a crash
// is delivered again, and whatever was written is not: a State knows the events that
// it has seen lately (Seen) and answers them as it did before. An ActionSet's name is
// fixed when its events leave the window (Starting) and stays the same until somebody
// saw it made or refused: a crash in between repeats the creation of the same name.
//
// All functions but Arrive may be repeated at will, and in any order.
//
// # The last event
//
// What an ActionSet is made from is the event that was stored last, by its sequence in
// EVENTS, not the one that arrived last: redelivery changes the order of arrival. An
// event that arrives after its window has closed opens the next one, so each is
// followed by a start, at the latest one window (and, if it must, the end of what runs
// and room below the rate limit) later.
//
// # Replace
//
// is a window that closes as soon as nothing runs, and asks for the end of what does.
// An event that was stored before the one that the running ActionSet was made from is
// late, and is rejected: the newest event wins.
//
// # The rate
//
// A start counts from the time when the ActionSet was seen to exist, and as long as it
// is Starting: then no more than Starts are made within any Per, however long the API
// server takes.
//
// # What is remembered
//
// Identities are kept for Memory, which is longer than redelivery takes and than the
// stream knows duplicates (and what a process finds, as long again), and at most mostSeen of them; 8 bytes each, so that a record
// fits into a message also in a storm. Those of an ActionSet that has not ended, where
// that matters, are kept until it has: a hook whose pod is replaced after an hour sends
// its event again, and means the run that it waited for.
package gate
