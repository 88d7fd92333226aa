// Package csi has the functions that take, restore and delete snapshots of volumes
// through the Kubernetes resources VolumeSnapshot and VolumeSnapshotContent: what a
// storage system does for them is done by its CSI driver and the snapshot-controller,
// which the functions wait for where Kanister's do.
//
// # Names
//
// Objects that a function names itself are named after the phase without its attempt,
// and everything that is made carries the annotation AnnotationJob with the same
// text. A phase that is run again, because its runner was lost or by a retry, thus
// meets what it has made, takes it for its own, and goes on waiting. What somebody
// else has made under the name is an error. Kanister takes a random name and leaves
// one snapshot behind for every try.
//
// # Errors of the storage system
//
// The snapshot-controller writes them into the VolumeSnapshot and tries again for
// ever. Some mean that the driver may still be at work or was not asked (see
// passing); these are waited out. Any other ends the phase. A VolumeSnapshot that an
// earlier attempt of the phase left with such an error is deleted and made anew:
// otherwise the retry would be told the old error.
//
// # Objects as they are
//
// The objects are read and written unstructured. The module with their types is
// not worth its dependencies: a dozen fields are looked at.
package csi
