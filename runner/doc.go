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
// A pod is made once for an attempt, ever: its UID is marked in the bucket of the
// claims, and a runner that finds the mark and no pod reports that it was lost. What
// remains is the moment between making the pod and marking it: a runner that dies
// there, and a pod that is deleted before the next one looks, is made again. Before
// a later attempt the pods of the earlier ones are gone.
//
// # Poison
//
// A job that crashes its process would crash each that takes it up. So a claim
// that follows one which nobody released counts a loss (poison.go): either it ran
// out, which the bucket shows for a minute, or it bears the name of an earlier
// process of this runner. A hand-over releases, a runner that was cut off or frozen
// excuses itself when it comes back, so neither counts. Whatever else ran in a
// process that crashed is counted with the guilty one; therefore a job that is one
// loss from the limit runs as the only such suspect of its runner for half a
// minute, and one that stands this is trusted with one loss more, once. At the limit
// a dead letter is stored, then the phase fails.
//
// # Ends of a call
//
// The context of a function ends with one of four causes. Cancelled, or the phase's
// deadline: the pods are deleted, seen to be gone, and that is reported. Lost claim: nothing is
// touched. Shutdown: pods are left running, claims are released and jobs given
// back, so that another runner adopts at once; only functions that may run once
// get a few seconds to come to an end, because nobody can go on with them.
package runner
