// Package object finds the objects that a blueprint names, and follows them.
//
// A Reference is found through the API server's discovery, so that a blueprint
// may name a resource or a kind, with a group and version in either of the two
// ways that are in use, and so that a cluster-wide object is told from one in a
// namespace.
//
// A Follower is told of changes by a watch; nothing is polled. Each round lists,
// which gives the state and a version to watch from, and then watches until the
// API server ends the watch, as it does every few minutes. A failure that may
// pass (the API server restarts, the version is too old) starts a new round after
// a growing delay; one that cannot pass (forbidden, no such resource) ends the
// call. It needs the verbs list and watch, which RBAC can grant for one name.
//
// client-go's RetryWatcher asks again for ever once its version is too old, and
// its informers log what is forbidden instead of returning it, so the loop is our
// own.
package object
