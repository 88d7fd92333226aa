package cluster

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/salvor-io/salvor/deploy/local/layout"
)

type mount struct {
	target, kind string
}

func readMounts() ([]mount, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list the mounts: %w", err)
	}
	return parseMounts(string(content)), nil
}

// parseMounts takes target and type out of mountinfo: the fifth field, and the
// first after the separator "-" (the number of fields before it varies).
func parseMounts(mountinfo string) []mount {
	var mounts []mount
	for line := range strings.Lines(mountinfo) {
		before, after, found := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !found || len(fields) < 5 || len(rest) < 1 {
			continue
		}
		mounts = append(mounts, mount{target: unescape(fields[4]), kind: rest[0]})
	}
	return mounts
}

// unescape undoes the octal escapes of blanks in mountinfo.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}

// below returns the mounts at or under one of the folders, the last made first.
func below(mounts []mount, folders ...string) []string {
	var targets []string
	for _, m := range mounts {
		for _, folder := range folders {
			if m.target == folder || strings.HasPrefix(m.target, folder+"/") {
				targets = append(targets, m.target)
				break
			}
		}
	}
	slices.Reverse(targets)
	return targets
}

func (c *Cluster) ownMounts() ([]string, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	return below(mounts, layout.Run, c.layout.State()), nil
}

// unmountAll unmounts what the kubelet and containerd mounted. What is still
// in use is detached: its user is gone or about to go.
func (c *Cluster) unmountAll() error {
	targets, err := c.ownMounts()
	if err != nil {
		return err
	}
	var errs []error
	for _, target := range targets {
		err := unix.Unmount(target, 0)
		if errors.Is(err, unix.EBUSY) {
			err = unix.Unmount(target, unix.MNT_DETACH)
		}
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("unmount %s: %w", target, err))
		}
	}
	return errors.Join(errs...)
}
