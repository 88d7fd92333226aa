// Package kandocmd is the command line of kando, the tool that runs inside task
// pods: it hands a value back to the run (output) and moves data between the pod
// and the profile's object store (location). Names, flags and defaults are those
// of Kanister's kando, so that scripts in blueprints run as they are;
// docs/kando.md lists them and what differs.
//
// The package reads no environment and exits nowhere: cmd/kando gives it a
// context, its arguments and its streams.
package kandocmd
