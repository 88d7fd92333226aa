// Package dispatcher owns the state of runs: it takes each run from pending to its
// end. It follows RUNS, reads REPORTS, writes RUNS under compare-and-set, and
// tells the world by JOBS, LEASES and EVENTS.
//
//	RUNS ──follow──► turns (fair) ──slot──► plan ─┐
//	                                              ├─► worker: decide → RUNS → JOBS, LEASES, EVENTS → ack
//	REPORTS ───────────────consume────────────────┘
//
//	decide/     what a run becomes: pure
//	fair/       whose turn it is: pure
//	follow.go   RUNS as it is now: the view, and what it means for the turns
//	turns.go    actions that wait and slots in use
//	start.go    an action that has its turn is planned and started
//	reports.go  reports in
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
// the moment it starts. It keeps its slot to its end. A one-phase run costs six
// messages: create, start, job, report, end, event.
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
