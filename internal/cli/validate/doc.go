// Package validate checks Blueprints, ActionSets, Profiles and ActionTriggers before they
// are used: "salvor validate", which prints as compilers do, and takes the flags of
// kanctl's.
//
// The files are read by package manifest, which knows where everything stands. What a
// blueprint can do is known to package blueprint, a trigger to package trigger, the
// annotations to package policy; all of them say in which field something is wrong, and
// the field is found in the file again. So every check has one home, and the dispatcher
// refuses with the same words.
//
// An error is what can never work. Whatever Kanister runs is a warning at most: scripts
// and pipelines stop at errors, and nobody shall have to change a blueprint that does its
// work.
package validate
