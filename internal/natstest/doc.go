// Package natstest gives tests a real JetStream server inside the test process:
// one server, or a cluster of three.
package natstest
