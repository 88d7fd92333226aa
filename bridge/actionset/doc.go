// Package actionset watches ActionSets and turns each new one into a run.
//
//	API server ──list+watch──► Intake ──► RUNS (create, expected sequence 0)
//	                              └─────► REPORTS (cancel, pause, resume, retry)
//
// # Finished ActionSets cost nothing
//
// The watch asks for status.state!=complete,status.state!=failed, so finished
// ActionSets are neither sent nor kept. One that finishes leaves such a watch as
// DELETED, with the state it had before. Whether it was really deleted is told
// by what the run knows (a run that ended needs nothing more) and else by a GET:
// NotFound, or another UID, means deleted. Where the CRD has no such selectable
// field the API server answers 400, and the watch goes on without the selector.
//
// # Which ActionSets become runs
//
//	no state             it is new: a run is created
//	a state, ours        its run is created if it is not there because the
//	                     stream's store was lost; same identity, so pods are
//	                     adopted. If the record was cleared away (it ended days
//	                     ago and nobody could write that), it is failed instead:
//	                     a restore is not done again a week later. The same goes
//	                     for one without a state that is older than records live,
//	                     in a store that is older than it
//	a state, not ours    another engine (Kanister) started it and may still be at
//	                     work, so it is left alone. The annotation salvor.io/adopt
//	                     says that it is not: with "continue" a run is made as for
//	                     a record that was lost, so that complete phases stay as
//	                     they are; with "fail" it ends and nothing runs
//
// It is ours when the API server's own field ownership (metadata.managedFields)
// has an entry of status.FieldManager.
//
// # What can never run
//
// An ActionSet that cannot become a run (no action, an action without a
// blueprint, a preferredVersion that is no version, too large to travel) gets
// status failed straight away, with a message that names the field. Everything
// that needs a look at the cluster is the dispatcher's to refuse.
//
// # Requests
//
// The annotation salvor.io/cancel asks for the end of the run, salvor.io/pause for a
// pause for as long as it is there. What they ask is compared with what the run
// says, so that seeing one twice is harmless and one that was lost is sent again.
// Between sending and the run saying so, the request that was sent last counts as
// the run's state: a pause that is taken back at once is followed by a resume.
//
// The label salvor.io/retry asks an ended run to go on. It is a label because ended
// ActionSets have left the watch: a second one, of ActionSets with the label, sees
// them. Each token is answered once, by the condition Retried. A run that goes on
// gets the state running again, with which its ActionSet is back in the first watch.
//
// # A record that was lost
//
// is made anew with the same identity and with what the ActionSet's status says of
// each action (event.Action.Recovered), so that the dispatcher takes over what was
// complete. An output of which the status has only an excerpt is left out. The
// bridge hears that a store was made anew; a single record that somebody deleted is
// missed at the next comparison.
//
// # What is not served is not deleted
//
// A NotFound counts as a deletion only while the API server serves ActionSets.
//
// # Level, not edge
//
// Handlers only put names on a queue; what to do follows from the ActionSet and
// the run as they are. Every Resync, and at the start, all ActionSets and all
// open runs are compared: missing runs are created, runs without an ActionSet
// are cancelled, and a run that ended whose ActionSet does not say so is
// projected again.
package actionset
