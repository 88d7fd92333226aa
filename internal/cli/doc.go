// Package cli is the command line of salvor. Its packages hold one command
// each; this one puts them together, names the program (kanctl or salvor) and
// turns the error of a command into a sentence and an exit code.
//
//	app        what every command is given; exit codes
//	actionset  create actionset
//	profile    create profile
//	get, wait  list and follow ActionSets
//	request    cancel, retry, pause and resume a run
//	dlq        runs that were parked because they took their runners down
//	emit       send a CloudEvent
//	validate   check a Blueprint or a Profile
//	serve      run the server roles
//
// There is one tree of commands. Called as kanctl it is the same tree under the
// other name: every command line of kanctl's create and validate means the same
// in both, so a script needs only the name changed, or not even that.
package cli
