//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

//nolint:gochecknoglobals // see the package comment
var state struct {
	sync.Mutex
	// armed is what the file said last; calls counts the calls since then.
	armed string
	calls int
	// reached are the points whose file was made.
	reached map[Point]bool
}

// Here ends the process if the point is armed.
func Here(p Point) {
	dir := os.Getenv(Variable) //nolint:forbidigo // see the package comment
	if dir == "" {
		return
	}
	state.Lock()
	defer state.Unlock()
	reach(dir, p)
	data, err := os.ReadFile(filepath.Join(dir, "armed"))
	if err != nil {
		return // nothing is armed
	}
	text := strings.TrimSpace(string(data))
	if text != state.armed {
		state.armed, state.calls = text, 0
	}
	name, nth, _ := strings.Cut(text, " ")
	if name != string(p) {
		return
	}
	state.calls++
	if n, err := strconv.Atoi(nth); err == nil && state.calls < n {
		return
	}
	_ = os.Remove(filepath.Join(dir, "armed")) // once
	tell(dir, p)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// reach leaves a file for the first call of a point.
func reach(dir string, p Point) {
	if state.reached[p] {
		return
	}
	if state.reached == nil {
		state.reached = map[Point]bool{}
	}
	state.reached[p] = true
	_ = os.MkdirAll(filepath.Join(dir, "reached"), 0o755)                  // what fails here the harness misses
	_ = os.WriteFile(filepath.Join(dir, "reached", string(p)), nil, 0o600) // likewise
}

func tell(dir string, p Point) {
	_ = os.MkdirAll(filepath.Join(dir, "killed"), 0o755)
	f, err := os.OpenFile(filepath.Join(dir, "killed", string(p)), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	fmt.Fprintf(f, "%d\n", os.Getpid())
	_ = f.Close()
}
