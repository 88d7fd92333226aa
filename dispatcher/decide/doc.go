// Package decide is the pure core of the dispatcher: what a run becomes when
// something happens to it, and what the world has to be told. It has no I/O, no
// clock and no randomness, so that every claim below is tested by properties, a
// fuzz target and a walk over all states of small runs.
//
//	Decide(run, input, now) → run', effects
//
// # Inputs and effects
//
// An Input is one of Start, Refuse, Release, Report and Wake. An Effect is one of
// PublishJob, MarkCancel, ClearCancel, SetTimer, ClearTimer and Emit. Effects are
// not remembered: Implied computes all that a state asks for, and Decide returns
// what the new state asks for and the old one did not. So whoever finds a run after
// a crash can repeat what may have been lost, without a log of what was done.
//
// # Rules
//
//   - The phases of an action run one at a time, in order; actions do not wait
//     for each other.
//   - A slot (see package fair) belongs to an action from its first phase on:
//     Release starts the first phase, and each next one is released in the
//     same step in which its predecessor ends. An application that was quiesced by
//     phase one must not wait in a queue for phase two. An action of which nothing
//     runs, because of a backoff, a pause or its end, has no slot and waits for one
//     again when it may go on; its deferPhase never waits.
//   - The deferPhase runs if anything of its action ran, however that ended, once
//     in each round (below). It is not stopped by a cancel, a pause or the time
//     limit of its action.
//   - A report counts only for the attempt that is running. Everything else, late,
//     repeated or invented, changes nothing.
//   - Artifacts come with the job that ends the action's good path: the deferPhase
//     if there is one, else the last core phase, else the render pseudo phase.
//   - The first failure is never overwritten; a deferPhase that fails too is
//     said after it.
//   - Core phases that were never started stay pending when the action ends, as
//     Kanister shows them.
//   - A run ends when all its actions have: cancelled if a cancel was asked for,
//     else failed if any action failed, else complete.
//
// # Attempts
//
// An attempt that failed is made again if the phase's policy has attempts left and
// the reason is one that another attempt may change. The phase is pending then, with
// RetryAt; its failure lies in Attempts and is not the action's. Numbers of attempts
// never come again, so a late report, a pod or a claim of an earlier one cannot be
// taken for the one that runs.
//
// # Times
//
// A Wake says that a time may have come. What is due is in the state, so a Wake is
// idempotent, and one that comes early, late, twice or for another reason does no
// harm. A run needs at most one timer, for the earliest of:
//
//   - RetryAt of a phase that is to be tried again;
//   - the deadline of a running attempt and ReportGrace: the runner stops it at the
//     deadline and says so, and only if none does it is ended here;
//   - the deadline of an action of which nothing runs. After it no core phase
//     starts; one that runs has no later deadline of its own.
//
// The time limit of an action counts from its first phase, so waiting for a slot is
// not part of it, and neither is a pause in which nothing of it ran.
//
// # Rounds
//
// A run that failed or was cancelled may be asked to go on: that is a new round.
// Phases that ended well stay so with their outputs; all others, the deferPhase
// among them, are pending again, with all attempts of their policy (Base marks those
// of earlier rounds). If only the artifacts are missing, they are rendered again. A
// request is known by its token, so its repetition means nothing. A request that was
// made before the last round began belongs to an earlier one and means nothing too.
//
// # Recovered actions
//
// When the record of a run was lost, the ActionSet's status says how far an action
// had come. Phases that had ended well are taken over. One that was running is
// released with the number of the attempt whose pod is there, so that it is adopted;
// if its function may not be run again without knowing how far it came, it is an
// interrupted attempt instead. One that had failed had used up its attempts, and
// stays failed.
//
// # What grows is bounded
//
// A run must fit a message, so messages, excerpts, artifacts and the record of
// attempts have limits here.
package decide
