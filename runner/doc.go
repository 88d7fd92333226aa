// Package runner takes jobs and makes their effects happen: it renders the
// arguments of one phase, calls its function, and reports. It holds no state that
// matters; what it needs it reads from the run.
//
//	JOBS ─► take ─► claim ─► current? ─► load, args ─► function ─► report ─► clean up ─► ack
//	       loop.go  claim.go  outcome.go   scope.go    execute.go  report.go    job.go
//
// The loop takes a job only when a slot is free and never fetches ahead: a job
// that waits in one runner is a job that another could do.
//
// # One effect
//
// A job is worked on while its claim is held. The claim runs out unless it is
// renewed, so a runner that hangs or is cut off loses it, stops without a report
// and leaves its pods: another runner claims the job, finds the pods by name and
// goes on. Before a function that may run only once is called, a mark is made in
// the same bucket that no claim takes away; finding it means that an earlier
// runner was lost in the middle, and the phase ends as interrupted.
//
// The report is stored before the pods are deleted, and they are deleted before
// the job is acknowledged. Dying between any two of these steps leads the next
// runner to the same point or past it:
//
//	dies before            the next runner
//	the report             adopts the pod and reports
//	the pod is deleted     finds the attempt ended and deletes the pod
//	the job is acked       finds the attempt ended and acks
//
// A report that cannot be stored is tried again for as long as the claim is held.
//
// # Ends of a call
//
// The context of a function ends with one of three causes. Cancelled: the pods
// are deleted, seen to be gone, and that is reported. Lost claim: nothing is
// touched. Shutdown: pods are left running, claims are released and jobs given
// back, so that another runner adopts at once; only functions that may run once
// get a few seconds to come to an end, because nobody can go on with them.
package runner
