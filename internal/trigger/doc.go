// Package trigger says what an ActionTrigger means. It is pure: no clock, no
// network, no cluster; bridge, command line and tests share it.
//
//	Check     what is wrong with a trigger, or can never fire, field by field
//	Compile   a trigger that nothing is wrong with, ready to be asked:
//	          Match, Key, ActionSet for an event; Schedule for a time
//	Retain    which of the backups that a trigger made stay
//
// # Which events match
//
// An event from outside matches when all filters of when.event do. Salvor's own
// events (source below /salvor/) match only a filter that names a type or a source
// of Salvor's: without that rule "everything of this namespace" would also mean the
// backup's own end, and chain by accident. In a tree of filters the naming one has
// to be on the path that matched; what is below a not names nothing. Events that
// are for one trigger (a tick of its schedule, something seen at an object) are
// known by their subject, its UID, and no filter sees them.
//
// # What comes from an event
//
// Label values, annotation values, option values and spec.key may be templates over
// .Event. Everything else of the ActionSet is what the trigger's author wrote, and a
// template there is a mistake that Check names: whoever may send an event must not
// choose the object, the namespace, the profile or the pod.
//
// # Expressions
//
// The CESQL library panics on some input and cannot be interrupted, so what could
// take long is bounded before it starts (length, nesting, size of the attributes),
// and a panic is an expression that does not match.
//
// # Times
//
// An expression with a fixed hour means wall-clock time: each matching minute of the
// calendar happens once a day, at the first instant that a clock on the wall shows
// it or, if a gap skips it, at the first instant after the gap. One whose hour is a
// wildcard or a step means that time passes: it happens whenever the clock on the
// wall shows a matching minute, so an hour that comes twice counts twice and one
// that is skipped does not count.
package trigger
