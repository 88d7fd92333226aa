// Package dlq shows and replays dead letters: the phases that were parked because
// every runner which worked on them was lost. It knows them from the condition
// DeadLettered of their ActionSets, so it needs no way to the streams.
package dlq
