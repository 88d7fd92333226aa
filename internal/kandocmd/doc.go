// Package kandocmd is the command line of kando, the tool that runs inside task
// pods. Names, flags, defaults and exit codes are those of Kanister's kando, so that
// scripts in blueprints run as they are; docs/kando.md lists them and what differs,
// and commandline_test.go holds them.
//
//	output     hands a value back to the run (internal/output has the protocol)
//	location   moves data between the pod and the profile's store (internal/location,
//	           or, with a profile of type kopia, the package kopia here)
//	chronicle  keeps the latest output of a command in that store (chronicle)
//	stream     stores what an HTTP server gives in a Kopia repository (kopia)
//	process    runs programs for other containers of the pod (procs)
//
// The package reads no environment and exits nowhere: cmd/kando gives it a
// context, its arguments and the Host it runs on.
package kandocmd
