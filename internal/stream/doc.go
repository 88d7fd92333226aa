// Package stream is the only place that knows how the contract of package event
// lies on NATS JetStream: the streams and buckets with their settings, the
// CloudEvents codec, and a small typed store over each of them.
//
//	Topology     creates or updates streams and buckets
//	Runs         state of every run, compare-and-set on the last revision
//	Jobs         work queue; a job that is queued already is not queued twice
//	Reports      work queue towards the dispatcher
//	Timers       one schedule for each run that waits for a time, and those that fired
//	Events       external and lifecycle CloudEvents
//	Gates        what waits for the windows and limits of triggers; compare-and-set
//	Outcomes     what became of each event
//	Replays      signatures of senders that were seen
//	Blobs        content-addressed JSON, for what is too large to travel inline
//	Leases       claims on jobs with a time to live, cancel marks, started marks
//	DeadLetters  what was set aside
//
// # Why compare-and-set and not the queue
//
// A queue only wakes workers: a late acknowledgement from a worker that timed
// out deletes the message another one is running, and a work queue forgets its
// message ids at a restart. So truth is the run's last revision on RUNS, and
// every write names the revision it saw. On a replicated stream most conflicts
// come back as "wrong last sequence" without the sequence (code 10164) and some
// as 10071: both are ErrConflict here.
package stream
