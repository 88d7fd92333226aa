// Package access asks the API server what a sender of events may do. The sender is
// who the event endpoint authenticated (api/event.Sender); RBAC decides.
//
//	fire   actiontriggers.salvor.io      start the trigger, and see what became of it
//	watch  actionsets.cr.kanister.io     follow the lifecycle events of a namespace
//
// Answers are kept for a few seconds, so that a storm of events of one sender costs
// one review for each trigger, and a right that was taken away counts soon.
package access
