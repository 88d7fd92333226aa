// Package app is what every command of the CLI is given: input and output, the
// clock, the environment, the way to the cluster, and how a command says with
// which code the program ends. Commands take it as a value, so that a test runs
// a whole command line with buffers and a kubeconfig of its own.
package app
