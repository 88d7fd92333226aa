package v1alpha1

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// JSONMap is a free-form JSON object: the arguments of a phase, a podOverride.
// Integers stay integers (int64) through decoding: a replica count that came
// back as 3.0 would be refused.
type JSONMap map[string]any

// UnmarshalJSON decodes a JSON object and keeps integers as int64.
func (m *JSONMap) UnmarshalJSON(data []byte) error {
	var decoded map[string]any
	if err := utiljson.Unmarshal(data, &decoded); err != nil {
		return fmt.Errorf("decode a free-form object: %w", err)
	}
	*m = decoded
	return nil
}

// MarshalJSON encodes the map as a JSON object, null when it is nil.
func (m JSONMap) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any(m)) // the caller's encoder adds the context
}

// DeepCopyInto copies the map and everything below it into out.
func (m *JSONMap) DeepCopyInto(out *JSONMap) {
	*out = m.DeepCopy()
}

// DeepCopy returns a copy that shares nothing with m. A nil map stays nil.
func (m JSONMap) DeepCopy() JSONMap {
	if m == nil {
		return nil
	}
	return runtime.DeepCopyJSON(m)
}
