package setup

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEveryPurposeHasItsPackages(t *testing.T) {
	seen := map[string]string{}
	for _, purpose := range Purposes() {
		all, err := needs(purpose)
		require.NoError(t, err)
		require.NotEmpty(t, all, purpose)
		for _, n := range all {
			require.Empty(t, seen[n.pkg], "%s is wanted twice", n.pkg)
			seen[n.pkg] = purpose
		}
	}
	_, err := lacking("tests", "all")
	require.EqualError(t, err, `nothing is known to be needed for "all"; it is one of cluster, images, tests, race`)
}
