// Package cli is the command line of salvor. Its packages hold one command
// each; this one puts them together, names the program (kanctl or salvor) and
// turns the error of a command into a sentence and an exit code.
//
//	app        what every command is given; exit codes
//	actionset  create actionset
//	profile    create profile
//	get, wait  list and follow ActionSets
//	request    cancel, retry, pause and resume a run; adopt what another engine left
//	dlq        runs that were parked because they took their runners down
//	emit       send a CloudEvent, and wait for what it starts
//	events     what became of runs; the schemas of events
//	validate   check Blueprints, ActionSets, Profiles and ActionTriggers
//	schema     JSON Schemas of them, for editors
//	render     show what each phase would do, and do none of it
//	serve      run the server roles
//
// There is one tree of commands. Called as kanctl it is the same tree under the
// other name: every command line of kanctl's create and validate means the same
// in both, so a script needs only the name changed, or not even that.
package cli
