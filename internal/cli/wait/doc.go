// Package wait follows one ActionSet to its end: "salvor wait" and "salvor
// create actionset --wait". It watches, it never polls; a line is printed when
// something about the ActionSet changes, and the exit code tells how it ended.
package wait
