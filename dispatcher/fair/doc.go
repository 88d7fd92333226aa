// Package fair decides whose turn it is. JetStream hands work out in the order in
// which it was queued, so a namespace that queues 10,000 ActionSets would keep all
// others waiting. Therefore the backlog waits here, and only as much as the window
// allows is released to the runners.
//
// # Deficit round robin
//
// Namespaces with waiting items stand in a ring. At its turn a namespace is
// credited its weight and takes items, first in first out, while its credit covers
// their cost; then the next one has its turn. A namespace whose last item is taken
// loses its remaining credit, so nobody saves up for a burst. A newcomer joins at
// the end of the ring and so waits for one round at most, however long another's
// backlog is.
//
// Tiers come first: an item of a higher tier (a smaller number) goes before all of
// lower ones. Within a tier the ring is fair.
//
// # Window
//
// Pop gives out an item together with a slot; Done gives the slot back. Take
// occupies a slot for work that runs already, found at a start, even beyond the
// window: what runs, runs.
//
// A Queue is not safe for use by several goroutines.
package fair
