// Package policy reads how a run is retried and how long it may take from the
// annotations of its ActionSet and of its Blueprint. It is pure: dispatcher, bridge
// and CLI ask it the same question and get the same answer.
//
//	salvor.io/attempts        attempts of each phase, 1 to 100          default 1
//	salvor.io/backoff         before the second attempt, then doubled   default 10s
//	salvor.io/backoff-limit   bound of the doubling                     default 10m
//	salvor.io/timeout         time limit of one attempt of a phase      default none
//	salvor.io/on-interrupt    fail or retry: a phase whose runner was lost and that
//	                          may not be run again by itself            default fail
//	salvor.io/action-timeout  time limit of an action, backoff included default none
//
// Each may be said for one action, salvor.io/timeout.backup, and all but the last
// for one phase, salvor.io/timeout.backup.dump; a deferPhase has the name that the
// blueprint gives it, or deferPhase if it gives none.
//
// What the ActionSet says, in whatever form, goes before what the Blueprint says,
// because whoever runs a blueprint knows the occasion; within one object the more
// special form goes before the more general one. Asking for a retry of interrupted
// phases without saying how often means three attempts.
//
// A name under salvor.io/ that nobody knows is an error and not ignored: a backup
// without the time limit that was asked for is found out at the worst moment.
// Labels are not looked at, and neither are annotations of other names.
package policy
