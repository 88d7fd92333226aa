package blueprint

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// preferredVersion as Kanister documents it: that version if the function has it, else
// v0.0.0 with a line in the log; what is no version fails the action.
func TestPreferredVersion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ other, fails bool }{
		"": {}, "v0.0.0": {}, "0.0.0": {}, "0": {}, "v0.0": {},
		"v0.0.1": {other: true}, "v1.0.0-alpha": {other: true}, "v0.0.0-rc1": {other: true}, "1": {other: true}, "2.3.4": {other: true},
		"latest": {fails: true}, "v": {fails: true}, "1.2.3.4": {fails: true}, "v0.0.0 ": {fails: true}, ">=1": {fails: true},
	}
	for version, tt := range tests {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			other, err := Preferred(version)
			_, failed := Resolve(t.Context(), Cluster{}, ResolveInput{Spec: kanister.ActionSpec{Name: "a", PreferredVersion: version}, Namespace: "n"})
			if tt.fails {
				require.ErrorContains(t, err, "is not a semantic version")
				var reasoned *Error
				require.ErrorAs(t, failed, &reasoned)
				assert.Equal(t, event.ReasonInvalid, reasoned.Reason)
				assert.Contains(t, failed.Error(), "preferredVersion")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.other, other)
			if failed != nil {
				assert.NotContains(t, failed.Error(), "preferredVersion")
			}
		})
	}
}
