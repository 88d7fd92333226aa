// Package restic has the functions that keep files in a restic repository: BackupData,
// BackupDataAll, BackupDataStats, CheckRepository, CopyVolumeData, DeleteData,
// DeleteDataAll, RestoreData and RestoreDataAll.
//
//	repository  profile + prefix + key → restic's environment          (pure)
//	script      the shell scripts, one for each task                   (text)
//	result      what restic said → the function's outputs              (pure)
//	execfuncs   BackupData, BackupDataAll: the script runs in the application's container
//	podfuncs    the others: the script is the command of a new pod
//
// # Compatible with Kanister
//
// A repository is the same whoever made it: URL, default password, tags and the paths
// inside of a snapshot are Kanister's, so either restores what the other backed up. Tests
// hold Kanister's command lines against ours, with the real restic.
//
// # One pod, one script
//
// Kanister makes a pod that sleeps and runs commands in it, so the loss of the
// controller is the end of the work. Here the script is the pod's command and publishes
// restic's own JSON as a phase output, which package result reads: a runner that takes
// over follows the same pod. The scripts need a POSIX shell and restic, no other program.
//
// # Secrets
//
// Keys and passwords are never in a command line or a pod's spec. A pod gets them by
// function.PodSpec.SecretEnv. In an application's container the script reads them from
// its standard input, as quoted assignments that end with a line of their own; it
// refuses to start if that line does not come.
//
// # Losing the runner
//
// The functions with a pod go on with the pod. BackupData and BackupDataAll run in a
// container that is not theirs: when the connection is lost nobody knows whether the
// command goes on, so they are not repeated by themselves (blueprint.Once). The tag of
// a snapshot is made from the run and the phase without the attempt, so whatever a phase
// left behind has one tag, and DeleteData by tag deletes all of it.
package restic
