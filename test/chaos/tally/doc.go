// Package tally counts what became of runs whose processes were killed. It is
// pure: what was planned, what was seen outside and how each run ended go in, a
// verdict per run and a table per boundary come out.
//
// # The rule
//
// A step (a phase, or the deferPhase) leaves a line behind each time it takes
// effect. How many there must be follows from how the step is said to have ended:
//
//	complete                 exactly as many as the plan says: one for each attempt
//	failed, as planned       exactly as many as the plan says
//	failed by interruption   at most so many: nobody can know, and it was not repeated
//	cancelled                at most so many
//	pending                  none
//
// When the whole store was lost, a step may be done once more unless the ActionSet
// said that it was complete (or, if it may run only once, that it had begun). That is
// counted as repeated and is no fault.
//
// Too few lines are a loss, too many are a duplicate, a run without an end is
// stuck, and an end that the plan does not allow is wrong.
//
// # Whose fault
//
// A run counts for every boundary at which something was killed while it was under
// way, because from outside nobody sees which run it was that met the boundary. So
// one broken run may stand in several rows; the last row counts each run once.
package tally
