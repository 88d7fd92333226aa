// Package emit sends a CloudEvent to Salvor's bridge over HTTP: "salvor emit".
//
// The id is what makes an event happen once: the bridge makes one ActionSet of
// a source and id, however often they arrive. Who may have to send an event
// again (a hook that is retried) therefore gives an id of its own; the default
// is a random one.
package emit
