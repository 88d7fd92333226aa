// Package broker runs the embedded JetStream server: one process, one volume,
// every acknowledged message on the disk (sync_interval always), because an
// acknowledged backup event that a power failure forgets is a backup that never
// happens.
package broker
