// Package scale has the function ScaleWorkload.
//
// The count of replicas and a note of the count before are written in one update
// of the workload, on the condition that nobody changed it in between. The note
// is the annotation AnnotationOriginal: which phase scaled, and what it found. A
// phase that is run again, because its runner was lost or by a retry, finds its own
// note and reports the count from before its first attempt; without that the
// second attempt would report the count that the first one had set, and the
// restore that scales back would leave the application at zero. The note names the
// phase without its attempt for that reason. It is left on the object, because
// only the dispatcher knows when the report has arrived; the next phase that
// scales the workload overwrites it, so there is never more than one.
//
// This is why the workload itself is updated and not its scale subresource, which
// has no place for the note. The verbs are get and update on the workload, as
// Kanister needs, and list and watch on it and on pods to wait.
//
// The workload is read and written as it is (unstructured), so that fields that
// this version does not know survive.
package scale
