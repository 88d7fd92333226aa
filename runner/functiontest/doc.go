// Package functiontest proves what every function promises, with one suite. A
// function's own test makes a Harness that builds worlds for it, and calls Run:
//
//   - it does its work;
//   - it may be repeated for the same attempt and for the next, as after a lost
//     runner and by a retry, with the same output and no second effect (unless its
//     signature says blueprint.Once);
//   - it ends soon, with the cause, when its context ends, before it starts and
//     in the middle of its work; and if it may be repeated, doing so finishes what
//     was left;
//   - if it may be repeated: its runner may be lost before each request that it makes
//     and before each answer, and doing it again ends well, with one effect;
//   - bad arguments give an error with a reason that names the argument;
//   - calls at the same time do not see each other's arguments or outputs.
//
// What becomes of functions that may not be repeated is the runner's part, and the
// test of package runner; it also sees to it that each function is in both.
//
// Calls are made as the runner makes them: arguments are rendered by
// blueprint.Values from a phase of a real Blueprint.
package functiontest
