package kandocmd

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The log of a pod is quoted in a status.
func TestTheSourceOfAStreamIsNotQuoted(t *testing.T) {
	t.Parallel()
	var config net.ListenConfig
	closed, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	for _, source := range []string{"http://" + closed.Addr().String() + "/dump?signature=hunter2", "http://user:hunter2@host/%zz"} {
		_, err := get(t.Context(), source)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}
