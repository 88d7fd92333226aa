// Package process starts programs that outlive the command that starts them,
// and finds them again without ever taking a stranger for one of them.
//
// A process id alone says nothing: after a crash or a reboot the kernel gives
// it to somebody else. What is recorded is the id together with the moment
// the process began and the boot it began in, which no two processes share.
// Besides, each program carries a mark in its environment that its children
// inherit, so that those without a record (containerd's shims) are found too.
package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const bootID = "/proc/sys/kernel/random/boot_id"

// Identity is one process of one boot of this machine.
type Identity struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot
	Boot  string `json:"boot"`
}

// Identify reads who has the process id now; when nobody has, the error is
// os.ErrNotExist.
func Identify(pid int) (Identity, error) {
	content, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return Identity{}, err
	}
	start, state, err := parseStat(content)
	if err != nil {
		return Identity{}, fmt.Errorf("read the state of process %d: %w", pid, err)
	}
	// A zombie has ended; it only waits for its parent to notice.
	if state == 'Z' || state == 'X' {
		return Identity{}, os.ErrNotExist
	}
	boot, err := os.ReadFile(bootID)
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, Start: start, Boot: strings.TrimSpace(string(boot))}, nil
}

// Alive tells whether this very process still runs.
func (i Identity) Alive() bool {
	if i.PID <= 0 {
		return false
	}
	now, err := Identify(i.PID)
	return err == nil && now == i
}

// parseStat takes the start time and the state out of /proc/PID/stat. The
// second field is the program's name in parentheses and may itself hold spaces
// and parentheses, so the fields are counted from the last one.
func parseStat(content []byte) (start uint64, state byte, err error) {
	end := bytes.LastIndexByte(content, ')')
	if end < 0 {
		return 0, 0, fmt.Errorf("no program name in %q", content)
	}
	fields := strings.Fields(string(content[end+1:]))
	// After the name: state is the 3rd field of the file, starttime the 22nd.
	const starttime = 22 - 3
	if len(fields) <= starttime {
		return 0, 0, fmt.Errorf("only %d fields in %q", len(fields), content)
	}
	start, err = strconv.ParseUint(fields[starttime], 10, 64)
	return start, fields[0][0], err
}

// Marked returns the processes whose environment holds the variable with
// exactly this value. They were started by us, or by one who was.
func Marked(variable, value string) ([]Identity, error) {
	want := []byte(variable + "=" + value)
	return find(func(dir string) bool {
		environment, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil {
			return false // gone, or a kernel thread
		}
		for entry := range bytes.SplitSeq(environment, []byte{0}) {
			if bytes.Equal(entry, want) {
				return true
			}
		}
		return false
	})
}

// Rooted returns the processes whose root file system is an overlay that keeps
// its changes below the folder: the containers of a containerd whose store is
// there, even when nothing else is left of it.
func Rooted(folder string) ([]Identity, error) {
	return find(func(dir string) bool {
		mounts, err := os.ReadFile(filepath.Join(dir, "mountinfo"))
		return err == nil && rootedBelow(string(mounts), folder)
	})
}

// rootedBelow looks at the mount of "/", the fifth field, and at the overlay's
// options. The mounts of other containers that a process may see do not count.
func rootedBelow(mountinfo, folder string) bool {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) > 4 && fields[4] == "/" && strings.Contains(line, "upperdir="+folder+"/") {
			return true
		}
	}
	return false
}

func find(match func(dir string) bool) ([]Identity, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []Identity
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		if !match(filepath.Join("/proc", entry.Name())) {
			continue
		}
		if identity, err := Identify(pid); err == nil {
			found = append(found, identity)
		}
	}
	return found, nil
}
