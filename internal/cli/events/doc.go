// Package events is "salvor events": what became of runs, as the bridge's lifecycle
// feed tells it. With --follow it goes on until it is ended, and comes back where it
// was when the connection breaks.
package events
