// Package bridge joins Kubernetes and the outside with the streams. It watches
// ActionSets and makes a run of each (hop 1), takes CloudEvents in and turns them
// into ActionSets, and folds the state of runs back into ActionSet status (the
// last hop). It knows dispatcher and runner only by what package event says.
//
//	actionset  list+watch of ActionSets → runs; deletion → cancel; the comparison
//	           of everything at the start and every Resync
//	status     runs → ActionSet status and Kubernetes Events; the only writer
//	ingress    HTTP endpoint for CloudEvents → EVENTS
//	trigger    EVENTS × ActionTriggers → ActionSets
//
// # Order at the start
//
// ActionSets are read first, then the runs are followed, and only then is
// anything compared: a run that ended finds out without a request whether its
// ActionSet says so, and no run is created that is there. The endpoint listens
// from the beginning: events are kept in the stream until the triggers are known.
//
// # When something is away
//
// Without the API server, events are still accepted and stored; the newest state
// of each run waits in memory. Without the stream, events are refused with 503,
// ActionSets stay as they are, and are taken in later.
package bridge
