// Package kubesource makes events of what happens to Kubernetes objects, for the
// triggers with spec.when.kubernetes.
//
//	ActionTriggers ──► what is watched: metadata of objects, Kubernetes Events
//	watches ──► compare with what the trigger has seen (TRIGGERS) ──► EVENTS ──► TRIGGERS
//
// # What is watched
//
// The kinds that triggers ask for, in the namespaces that the triggers are in, from
// the first trigger to the last. Of objects only the metadata are read, of Kubernetes
// Events those that the API server selects by reason, type and object. Triggers that
// ask for the same share a watch. Salvor needs the right to list and watch; where it
// is missing the trigger's condition names the rule.
//
// # Level, not edge
//
// Whatever a watch tells, the objects as they are now are compared with a record of
// what the trigger has seen. So a change that happens while Salvor is down counts
// once it is back; of several that follow each other at once the last counts; and
// neither a restart nor the end of an ActionSet that was made for a value makes the
// value count again. The record begins with what is there when the trigger is first
// seen, which does not count. It begins anew when the trigger asks for something else,
// or when the store was lost.
//
// # Once
//
// The event is stored first and the record is written then. After a crash between
// them the comparison finds the same and tells it under the same id, which names the
// object, the number of the change and the value; what becomes of the event is the
// same as for any that is delivered twice. Two bridges do no harm either: the record
// is written under compare-and-set.
//
// # What does not count
//
// The removal of an annotation (the same value set again afterwards does); a value
// that an object had before the selector fitted; what happens while the trigger is
// suspended; Kubernetes Events that Salvor makes or that are about its task pods,
// because a trigger that fires for what its own run causes would never end.
package kubesource
