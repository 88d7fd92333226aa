package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// parentCgroups is our cgroup in every hierarchy of this machine: one for
// cgroup v2, one per controller for v1.
func parentCgroups() ([]string, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, m := range mounts {
		if m.kind == "cgroup" || m.kind == "cgroup2" {
			roots = append(roots, filepath.Join(m.target, cgroupName))
		}
	}
	return roots, nil
}

// enterCgroup moves containerd into a child of our cgroup, and its shims with
// it; the kubelet puts the pods beside it.
func enterCgroup(pid int) error {
	parents, err := parentCgroups()
	if err != nil {
		return err
	}
	for _, parent := range parents {
		child := filepath.Join(parent, "containerd")
		if err := os.MkdirAll(child, 0o755); err != nil {
			return fmt.Errorf("make a cgroup: %w", err)
		}
		if err := inheritCPUSet(parent, child); err != nil {
			return err
		}
		procs := filepath.Join(child, "cgroup.procs")
		if err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("move containerd into %s: %w", child, err)
		}
	}
	return nil
}

// inheritCPUSet fills what a new v1 cpuset leaves empty; no process may enter
// one without CPUs and memory nodes.
func inheritCPUSet(dirs ...string) error {
	for _, dir := range dirs {
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			own, err := os.ReadFile(filepath.Join(dir, name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			if strings.TrimSpace(string(own)) != "" {
				continue
			}
			above, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
			if errors.Is(err, os.ErrNotExist) {
				continue // v2: what is empty is inherited
			}
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), above, 0o644); err != nil {
				return fmt.Errorf("set %s of %s: %w", name, dir, err)
			}
		}
	}
	return nil
}

// cgroupDirs returns our cgroups that exist, children before parents.
func cgroupDirs() ([]string, error) {
	parents, err := parentCgroups()
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, parent := range parents {
		err := filepath.WalkDir(parent, func(path string, entry os.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil // went away while we looked
			}
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Reverse(dirs)
	return dirs, nil
}

// cgroupProcesses returns the processes in our cgroups, except those given.
func cgroupProcesses(except []int) ([]int, error) {
	dirs, err := cgroupDirs()
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, dir := range dirs {
		content, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil {
			continue // went away while we looked
		}
		for field := range strings.FieldsSeq(string(content)) {
			pid, err := strconv.Atoi(field)
			if err == nil && pid > 0 && !slices.Contains(except, pid) {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// killCgroups kills what runs in our cgroups until nothing does. A process can
// fork while we look, hence the repetition.
func killCgroups(except []int) error {
	const patience = 15 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		pids, err := cgroupProcesses(except)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v of containers do not end", pids)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d of a container: %w", pid, err)
			}
		}
	}
}

// removeCgroups removes our cgroups. The kernel may take a moment to let go of
// one whose last process just ended.
func removeCgroups() error {
	const patience = 5 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		dirs, err := cgroupDirs()
		if err != nil || len(dirs) == 0 {
			return err
		}
		var last error
		for _, dir := range dirs {
			if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, syscall.ENOENT) {
				last = fmt.Errorf("remove cgroup %s: %w", dir, err)
			}
		}
		if last != nil && time.Now().After(deadline) {
			return last
		}
	}
}
