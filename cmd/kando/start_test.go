package main

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// initLine is what the Go runtime says of a package that does work before main.
var initLine = regexp.MustCompile(`(?m)^init \S+ @\S+ ms, \S+ ms clock, (\d+) bytes, (\d+) allocs$`)

// What the tests measure on the binary of the images.
func TestAsShipped(t *testing.T) {
	t.Parallel()
	binary := buildKando(t)
	t.Run("memory of transfers", func(t *testing.T) { t.Parallel(); transferMemory(t, binary) })
	t.Run("size and start", func(t *testing.T) { t.Parallel(); sizeAndStart(t, binary) })
	t.Run("memory of the process server", func(t *testing.T) { t.Parallel(); serverMemory(t, binary) })
}

// A script calls kando many times, and each image has it. The limits are on what a
// machine's load does not change: size, and the work before main. The time is
// printed, beside that of a program that does nothing: what this machine needs to
// start a process.
func sizeAndStart(t *testing.T, binary string) {
	t.Helper()
	info, err := os.Stat(binary)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(40_000_000))

	cmd := exec.CommandContext(t.Context(), binary, "output", "k", "v")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	require.NoError(t, cmd.Run())
	packages, size, allocs := 0, 0, 0
	for _, match := range initLine.FindAllSubmatch(trace.Bytes(), -1) {
		packages++
		size += number(t, match[1])
		allocs += number(t, match[2])
	}
	require.Positive(t, packages, "the runtime's format has changed: %.200s", &trace)
	assert.Less(t, packages, 400, "packages that do work before main")
	assert.Less(t, size, 3<<20, "bytes allocated before main")
	assert.Less(t, allocs, 15_000, "allocations before main")

	start, nothing := fastest(t, binary, "output", "k", "v"), fastest(t, "/bin/true")
	t.Logf("%.1f MB; before main %d packages, %d KiB in %d allocations; a start takes %.1f ms, that of /bin/true %.1f ms (%.1f times)",
		float64(info.Size())/1e6, packages, size>>10, allocs, ms(start), ms(nothing), float64(start)/float64(nothing))
}

// fastest is the shortest of some starts: the others had to wait for the machine.
func fastest(t *testing.T, name string, args ...string) time.Duration {
	t.Helper()
	best := time.Duration(math.MaxInt64)
	for range 20 {
		cmd := exec.CommandContext(t.Context(), name, args...)
		begin := time.Now()
		require.NoError(t, cmd.Run())
		best = min(best, time.Since(begin))
	}
	return best
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func number(t *testing.T, text []byte) int {
	t.Helper()
	n, err := strconv.Atoi(string(text))
	require.NoError(t, err)
	return n
}
