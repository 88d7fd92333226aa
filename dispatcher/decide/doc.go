// Package decide is the pure core of the dispatcher: what a run becomes when
// something happens to it, and what the world has to be told. It has no I/O, no
// clock and no randomness, so that every claim below is tested by properties, a
// fuzz target and a walk over all states of small runs.
//
//	Decide(run, input, now) → run', effects
//
// # Inputs and effects
//
// An Input is one of Start, Refuse, Release and Report. An Effect is one of
// PublishJob, MarkCancel and Emit. Effects are not remembered: Implied computes
// all that a state asks for, and Decide returns what the new state asks for and
// the old one did not. So whoever finds a run after a crash can repeat what may
// have been lost, without a log of what was done.
//
// # Rules
//
//   - The phases of an action run one at a time, in order; actions do not wait
//     for each other.
//   - A slot (see package fair) belongs to an action from its first phase to its
//     end: Release starts the first phase, and each next one is released in the
//     same step in which its predecessor ends. An application that was quiesced by
//     phase one must not wait in a queue for phase two.
//   - The deferPhase runs exactly once if anything of its action ran, however that
//     ended. It is not stopped by a cancel.
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
// # What grows is bounded
//
// A run must fit a message, so messages, excerpts and artifacts have limits here.
package decide
