// Package locationtest is what every store has to do, written once. A store joins
// with a Harness of a few lines; its test is then a call of Run.
package locationtest
