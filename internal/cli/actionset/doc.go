// Package actionset makes ActionSets from a command line: "salvor create
// actionset", with the flags of kanctl.
//
//	flags   what the user wrote                      Flags
//	parse   text → references, maps                  pure
//	objects what --selector selects                  reads the cluster
//	build   Request (+ parent) → ActionSet           pure
//	verify  does all that is named exist?            reads the cluster
//
// Two things are done otherwise than in kanctl, both on purpose. Values of
// options may contain "=" and ",": kanctl cuts at every one. And what the user
// may not read (a Secret in another namespace) is left to the runner to find
// out, instead of refusing the command.
package actionset
