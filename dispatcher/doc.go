// Package dispatcher owns the state of runs: it takes each run from pending to its
// end. It follows RUNS, reads REPORTS and the timers that fired, writes RUNS under
// compare-and-set, and tells the world by JOBS, LEASES, TIMERS and EVENTS.
//
//	RUNS ──follow──► turns (fair) ──slot──► plan ─┐
//	REPORTS ───────────────consume────────────────┼─► worker: decide → RUNS → JOBS, LEASES, TIMERS, EVENTS → ack
//	TIMERS ────────────────fired──────────────────┘
//
//	decide/     what a run becomes: pure
//	fair/       whose turn it is: pure
//	follow.go   RUNS as it is now: the view, and what it means for the turns
//	turns.go    actions that wait and slots in use
//	start.go    an action that has its turn is planned and started
//	reports.go  reports in
//	timers.go   timers that fired
//	worker.go   all that concerns one run happens in one goroutine, in order
//	apply.go    decide, write, tell
//	repeat.go   what may have been lost is told again
//	sweep.go    records past their retention are removed
//	collect.go  and the contents that then no run names
//
// # Order of a step
//
// RUNS first; then jobs, marks and events; then the acknowledgement of the report.
// A crash between any two of them leaves a report that is delivered again, or a
// state whose effects can be computed from it (decide.Implied), never a job
// without a record.
//
// # A slot per action
//
// An action waits while it is pending and is planned when it has its turn, so one
// write takes it from pending to its first phase, and its parameters are those of
// the moment it starts. It keeps its slot while its phases follow each other. When
// none of them runs, because one waits to be tried again or because of a pause, it
// gives the slot back, and waits for a turn again when it may go on. A one-phase run
// without a policy costs six messages: create, start, job, report, end, event.
//
// # Time
//
// A run has at most one timer, a schedule of the server (docs/adr/0004-one-timer.md).
// When it fires the worker applies the reports that wait, then a Wake. So does
// everybody who takes up a run, and the recheck, so a lost timer costs at most
// RecheckInterval.
//
// # A run that ended and goes on
//
// Workers keep records of runs under way only. A request to retry reads the run,
// and the record is kept again once the run is under way. The sweep removes a record
// at the revision at which it was seen, so it cannot take one that has just been
// asked to go on.
//
// # What cannot be read
//
// A report that cannot be read, or whose run cannot be, is never dropped: another
// version of the program may know it. It is delivered again, and becomes a dead
// letter in the end.
//
// # Repeating a job
//
// A job must not be queued again while its result is on its way. A runner reports
// before it acknowledges its job, and the dispatcher writes the run before it
// acknowledges the report. So: the job is not in JOBS, then no report is in
// REPORTS, then the run, read from the leader, still says running. In this order
// the three prove that the job was lost. See docs/adr/0002-repeat-by-looking.md.
//
// # More than one dispatcher
//
// Writes are fenced by revision, so two dispatchers are safe, and one takes up what
// the other leaves (recheck). They do not share the window: each has its own.
package dispatcher
