// Package exectest is an API server that knows pods and the exec protocol, over SPDY
// and over WebSocket, for tests of functions that run commands in containers. What a
// command does is the test's to say.
package exectest
