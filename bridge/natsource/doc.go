// Package natsource takes CloudEvents from NATS, beside the HTTP endpoint.
//
//	publisher ──subject──► Source (queue group) ──► EVENTS ──► reply
//	stream    ──consumer─► Source               ──► EVENTS ──► ack
//
// Events are read by the NATS protocol binding of CloudEvents: in binary mode the
// attributes are ce- headers, in structured mode the payload is the event as JSON. A
// message without any headers is taken as structured. The checks are those of the
// HTTP endpoint (ingress.Decode), so no Nats- header and no attribute of Salvor's own
// gets to EVENTS.
//
// # Core NATS
//
// A message is delivered at most once: who wants to know sends a request and looks at
// the reply, which is {"accepted":1,...} once the event is stored, otherwise a problem
// with reason and code. Messages that arrive faster than they can be stored wait in
// the client and are dropped beyond its limits; that is counted and logged.
//
// # JetStream
//
// A message is acknowledged after EVENTS has stored its event. While that cannot be
// done it is delivered again; one that never can be stored is ended (Term), logged and
// counted.
//
// # Who may send
//
// NATS authenticates and its permissions authorize: an event from here has no sender,
// and may fire every trigger that it matches. So the subjects should be writable for
// those only who may start backups.
//
// # Several bridges
//
// Those that serve the same namespaces share the messages. Those that serve different
// ones each see all, and leave to the others what is not for their namespaces.
// Of a work queue they cannot: what is for a namespace that is not served is ended
// there, logged and counted. Give each bridge the subjects of its namespaces.
package natsource
