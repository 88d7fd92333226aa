package scale

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/salvor-io/salvor/api/event"
)

// AnnotationOriginal is the note on a workload: the phase that scaled it last and
// the count of replicas that it found, as "<run>.<action>.<phase>=<count>".
const AnnotationOriginal = "salvor.io/original-replicas"

// readNote returns the count that an earlier attempt of the phase found.
func readNote(o *unstructured.Unstructured, key event.Key) (int64, bool) {
	phase, count, _ := strings.Cut(o.GetAnnotations()[AnnotationOriginal], "=")
	if phase != phaseOf(key) {
		return 0, false
	}
	n, err := strconv.ParseInt(count, 10, 32)
	return n, err == nil
}

func writeNote(o *unstructured.Unstructured, key event.Key, count int64) {
	annotations := o.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[AnnotationOriginal] = phaseOf(key) + "=" + strconv.FormatInt(count, 10)
	o.SetAnnotations(annotations)
}

// phaseOf is the key without the attempt.
func phaseOf(key event.Key) string {
	text := key.String()
	return text[:strings.LastIndexByte(text, '.')]
}
