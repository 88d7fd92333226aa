// Package r3 kills the members of a cluster of embedded brokers, one after the
// other, while every kind of write goes on, and looks for what was acknowledged.
//
//	go test -tags chaos ./test/chaos/r3 -v -timeout 20m -r3.for 5m
//
// Three processes "salvor serve --roles broker" run on 127.0.0.1 with credentials
// and their stores synced; every -r3.every one of them is killed with SIGKILL and
// started again at once. The load goes through package stream, so that it is the
// product's own way of writing that is tried:
//
//	runs     rivals compare-and-set the same runs; no revision may have two successors, and none be passed over
//	jobs     each that was acknowledged is queued at the end, once
//	reports  each that was acknowledged was delivered
//	events   each that was acknowledged is stored, once, although it was sent again when an answer was missing
//	marks    of two that mark the same phase as started one wins
//	blobs    each that was stored can be read
//
// A write without an answer may be there or not; it is sent again, as the product
// does. What is killed is the process: the page cache survives, so the power is
// not tried here (sync_interval always is there for it).
package r3
