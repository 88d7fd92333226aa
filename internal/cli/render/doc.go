// Package render shows what each phase of an action would do, and does none of it:
// "salvor render".
//
// It walks the way of an action as dispatcher and runner do, with their code: the
// blueprint is found, the template parameters are resolved, and for each phase the
// arguments are rendered; a function that runs pods is called with a PodRunner that
// builds its pod and runs nothing. What it looks through (package kubefile) only reads,
// and shows no secret value.
//
// # What cannot be known
//
// The output of an earlier phase is not known before it has run: a placeholder such as
// <output dump.path> stands for it, unless --output says it or the ActionSet's status
// has it. Without a cluster (--offline) whatever is in no file is made up from the names
// that the templates use, and listed, so that a blueprint alone can be looked at.
//
// # Which pods are shown
//
// Those of functions that do nothing before they have their pod. The functions of RDS
// are not called: they talk to AWS first, which no transport of ours holds back.
package render
