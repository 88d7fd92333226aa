// Package request asks something of the run of an ActionSet: "salvor cancel",
// "retry", "pause" and "resume". Each sets or removes one annotation or label of
// the ActionSet, which Salvor's bridge sees; so whoever may patch ActionSets may
// ask, kubectl can do the same, and what was asked for outlives every process.
package request
