// Package frontdoor sends events through every door while the bridge is killed, and
// counts what they started.
//
//	go test ./test/frontdoor -v                                  300 events, a kill every 2 s
//	make frontdoor                                               1,000 events, a kill every 5 s
//
// Real are the API server with its etcd, the broker in a process of its own, and
// `salvor serve --roles bridge`, which is killed with SIGKILL and started again at
// once, all the time. Each event is sent three times, all of them in random order, each
// time through a door that chance picks:
//
//	HTTP with a bearer token        no sender, deduplicated by EVENTS
//	HTTP with a signature           another sender, so EVENTS stores the event once more
//	NATS, request and reply
//	JetStream, a stream of the sender's own, which the bridge reads
//
// A sender sends again until it has an acknowledgement, as senders do. In the end there
// has to be one ActionSet for each event; with coalesce, for each event one that it is
// part of, and as many events in each as it says.
//
// TestEmitWaits is the command line's part: `salvor emit --wait` against a whole server
// that is killed while the command waits.
package frontdoor
