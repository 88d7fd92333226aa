// Package status folds the state of runs back into the status of their
// ActionSets. It is the only writer of ActionSet status.
//
//	RUNS ──Follow──► Projector.Update ──► queue (one entry per run) ──► Writer ──► API server
//
// # A projection, never a log
//
// For each run only the newest state is kept. A terminal state, and the first in
// which a phase runs, are written at once; any other waits until Interval has
// passed since the last write (or since the run was first seen) and is skipped
// when a newer one came meanwhile. A run of one phase so costs at most three
// writes: pending (only if it has to wait for longer than Interval), running and
// the end. A state that says what the ActionSet says already is not written.
//
// While the API server is away the newest state of each run stays in memory and
// is tried again with growing pauses, so memory is bounded by the number of
// runs. After a restart Follow gives the last state of every run; those that
// ended and whose ActionSet says so are left alone without a request.
//
// A run that goes on after its end is written over the end. Since its ActionSet
// left the watch, what it says is not known then; so is what the ActionSet of a run
// says that was retried and has ended again when the bridge starts: it is written
// once more, unless the watch of ActionSets that ask for a retry shows the answer.
//
// # Conditions
//
// State words are Kanister's; conditions.go projects what they cannot say. Recovered
// stays on the status for as long as the run is known, although the run itself
// forgets it when its actions start.
//
// # The write
//
// One JSON patch of the status subresource, which tests metadata.uid first: a
// new ActionSet of the same name is never touched. Where the CRD has no status
// subresource (Kanister's own), the object is patched instead. The field manager
// FieldManager marks the status as ours; the intake tells by it an ActionSet
// that another engine left behind.
//
// # Events
//
// Kubernetes Events are made from the difference between the status that was on
// the ActionSet and the one just written. The API server's own record so decides
// what is new, and a restart repeats nothing. A stop or crash between the
// write and the Event loses the Event.
package status
