// Package event holds what the processes say to each other: the types, the
// subjects and the identities. It is the contract; bridge, dispatcher and runner
// know nothing else of one another. Golden files in testdata pin the wire forms:
// a change there is a change of the contract.
//
// # Streams
//
//	EVENTS   salvor.events.<ns>.<type…>                        bridge, dispatcher → anyone
//	RUNS     salvor.runs.<shard>.<ns>.<uid>                    bridge creates, dispatcher updates
//	JOBS     salvor.jobs.<pool>.<ns>.<uid>.<action>.<phase>.<attempt>   dispatcher → runners
//	REPORTS  salvor.reports.<shard>.<ns>.<uid>                 runners, bridge → dispatcher
//	TIMERS   salvor.timers.<shard>.<ns>.<uid>                  dispatcher: one schedule for each run that waits
//	         salvor.fired.<shard>.<ns>.<uid>                   the stream itself → dispatcher
//	DLQ      salvor.dlq.<ns>.<uid>                             what was set aside
//
// And buckets: LEASES (claims of runners, marks), TRIGGERS (what triggers have to
// remember), OUTCOMES (what became of events), BLOBS (what is too large to travel inline).
//
// Every message is a CloudEvent in binary content mode; its data is one of the
// types Run, Job, Report, Timer and DeadLetter as JSON, or, on EVENTS, what its publisher sent.
//
// # Identity
//
// A run's identity is the UID of its ActionSet. An action and a phase are known
// by index, because their names are the user's free text; an attempt counts from
// 1. (uid, action, phase, attempt) names a job, its claim and its pod, so doing
// it twice meets itself.
//
// # What a run never holds
//
// Secret values. Template parameters keep Secrets as references; whoever renders
// reads them at that moment.
package event
