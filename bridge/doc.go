// Package bridge joins Kubernetes and the outside with the streams. It watches
// ActionSets and makes a run of each (hop 1), takes CloudEvents in and turns them
// into ActionSets, and folds the state of runs back into ActionSet status (the
// last hop). It knows dispatcher and runner only by what package event says.
//
//	actionset  list+watch of ActionSets → runs; annotations, the label for a retry
//	           and deletion → requests; the comparison of everything at the start
//	           and every Resync
//	status     runs → ActionSet status and Kubernetes Events; the only writer
//	ingress    HTTP endpoint for CloudEvents → EVENTS
//	natsource  NATS subjects and streams → EVENTS
//	trigger    EVENTS × ActionTriggers → ActionSets
//	access     what a sender may do: SubjectAccessReview
//	schedule   the clock × ActionTriggers → ticks on EVENTS
//	kubesource Kubernetes objects × ActionTriggers → events on EVENTS
//	retention  what ActionTriggers do not keep → ActionSets that remove data → deletion
//	sink       EVENTS → HTTP endpoints, the lifecycle of runs
//	feed       EVENTS → who asks on HTTP, the lifecycle of runs
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
//
// # Two sources of truth
//
// etcd has the ActionSets, JetStream the runs, and either may lose what the other
// has. A Bridge keeps what it knows of runs in memory, so after the loss of the
// stream's store a new one has to be made: it finds ActionSets of ours without
// runs and makes those anew from what the statuses say (package actionset). An
// etcd that was restored from a snapshot needs nothing to be restarted: informers
// notice it by the resource versions (kube.Rewindable), ActionSets that went back
// are written again, and the runs of those that vanished are cancelled.
package bridge
