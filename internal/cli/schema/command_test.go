package schema_test

import (
	"errors"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/schema"
)

// A full disk is told, so that nobody keeps half a schema.
func TestASchemaThatCannotBeWrittenIsAnError(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	in, out := io.Pipe()
	require.NoError(t, in.CloseWithError(full))
	cmd := schema.Command(&app.App{Out: out})
	cmd.SetArgs([]string{"blueprint"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	require.ErrorIs(t, cmd.ExecuteContext(t.Context()), full)
}
