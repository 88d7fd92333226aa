// Command demo tells Salvor's whole story on a real cluster, with real programs:
// an application event starts a backup of a real PostgreSQL, the data is lost,
// one command restores it. It prints a line per step and a summary, and exits
// with 1 at the first thing that is not as it should be.
package main
