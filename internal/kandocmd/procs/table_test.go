package procs

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The grace period is for the end of the server. Until then a child that outlives its
// parent by more may go on to print, and the process ends as its parent did.
func TestChildrenPrintAsLongAsTheyLike(t *testing.T) {
	t.Parallel()
	all := &table{dir: t.TempDir(), grace: time.Millisecond, byPID: map[int64]*process{}}
	p, err := all.start(t.Context(), "sh", []string{"-c", `(i=0; while [ $i -lt 30 ]; do sleep 0.02; echo late; i=$((i+1)); done) &`})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, p.stdout.follow(t.Context(), &out, func() error { return nil }))
	assert.Equal(t, strings.Repeat("late\n", 30), out.String())
	assert.Equal(t, Succeeded, p.get().State, p.get().ExitErr)
	all.close()
	all.removeFiles()
}
