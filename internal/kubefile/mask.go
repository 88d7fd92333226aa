package kubefile

import (
	"encoding/base64"

	corev1 "k8s.io/api/core/v1"
)

// mask replaces every value of a Secret, and drops the annotation in which kubectl
// keeps another copy of them. Text of stringData becomes data, as on an API server.
func mask(secret map[string]any) {
	data, _ := secret["data"].(map[string]any)
	if text, ok := secret["stringData"].(map[string]any); ok {
		if data == nil {
			data = map[string]any{}
		}
		for key := range text {
			data[key] = ""
		}
		delete(secret, "stringData")
		secret["data"] = data
	}
	for key := range data {
		data[key] = base64.StdEncoding.EncodeToString([]byte(Mask))
	}
	metadata, _ := secret["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	delete(annotations, corev1.LastAppliedConfigAnnotation)
}
