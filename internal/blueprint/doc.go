// Package blueprint checks blueprints, resolves the parameters of their templates
// and renders them. Dispatcher, runner and CLI share it.
//
// # The way of an action
//
//	Find     the dispatcher looks the Blueprint up and pins it by content
//	Check    what can be known to fail is found before anything starts
//	Resolve  object, pods, claims, ConfigMaps, options become Params, once
//	Load     the runner reads Secrets, for one phase, and builds the template data
//	Values   Args for the function, Artifacts after the last phase
//
// # Why Params hold no secret value
//
// Params are kept with the run, in an object store, for as long as the run is
// kept. So whatever lies in a Secret is a reference there (also the action's
// object, when it is a Secret itself), and only Load, which is called where the
// function runs, reads values. Values know every secret value they have read, and
// Redact takes them out of any text. Errors of this package are redacted before
// they are returned, and never carry those parts of text/template's messages that
// print a value.
//
// The price: Kanister reads a Secret once, at the start, and this package once per
// phase. A Secret that is deleted half-way is therefore an error, but only for a
// template that uses it: the deferPhase that starts the application again must not
// fail for a Secret it does not need.
//
// # Why rendering is bounded
//
// Whoever may write a Blueprint in any namespace runs templates in a process that
// serves all of them. Go's templates can loop, build text and nest data without
// end, and a map that contains itself brings fmt down in a way that cannot be
// recovered. So each rendering has an allowance of work (see guard), paid at every
// turn of a loop, every call of a function and every value it makes. The engine
// itself stays text/template with sprig, because the blueprints that people have
// depend on its quirks; docs/templates.md lists them and what differs.
package blueprint
