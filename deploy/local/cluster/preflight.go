package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/salvor-io/salvor/deploy/local/layout"
	"github.com/salvor-io/salvor/deploy/local/process"
	"github.com/salvor-io/salvor/deploy/local/setup"
)

func ownerFile() string { return filepath.Join(layout.Run, "owner") }

// preflight tells, before anything is touched, why a start could not work.
func (c *Cluster) preflight() error {
	if os.Geteuid() != 0 {
		return errors.New("a local cluster needs root: it makes network interfaces, mounts and containers; or set KUBECONFIG to use a cluster you have")
	}
	if err := setup.Check(); err != nil {
		return err
	}
	for _, name := range append(programNames(), "kubectl", "containerd-shim-runc-v2", "ctr", "pause", "coredns", "local-path-provisioner") {
		if _, err := os.Stat(c.layout.Program(name)); err != nil {
			return fmt.Errorf("%s is not built; run `make kubernetes`", name)
		}
	}
	return nil
}

// checkOwner refuses when the cluster of another checkout lives.
func (c *Cluster) checkOwner() error {
	content, err := os.ReadFile(ownerFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	owner := strings.TrimSpace(string(content))
	if owner == c.layout.State() || owner == "" {
		return nil
	}
	alive, err := process.Marked(process.Mark, owner)
	if err != nil {
		return err
	}
	if len(alive) > 0 {
		return fmt.Errorf("another local cluster runs on this machine, from %s; stop it with `make cluster-down` there", filepath.Dir(filepath.Dir(owner)))
	}
	return nil
}

func (c *Cluster) own() error {
	if err := os.MkdirAll(layout.Run, 0o711); err != nil {
		return err
	}
	return os.WriteFile(ownerFile(), []byte(c.layout.State()+"\n"), 0o644)
}

// checkPorts names the port that is taken, and by whom.
func checkPorts() error {
	var errs []error
	for _, p := range ports() {
		// Any address: a listener on all of them keeps us from one of them too.
		listener, err := net.Listen("tcp", ":"+strconv.Itoa(p.number)) //nolint:noctx // a local socket, closed at once
		if err != nil {
			errs = append(errs, fmt.Errorf("port %d, which %s needs, is taken%s", p.number, p.user, holder(p.number)))
			continue
		}
		listener.Close()
	}
	return errors.Join(errs...)
}

// holder says which process listens on the port, as far as /proc tells.
func holder(number int) string {
	inode := listeningInode(number)
	if inode == "" {
		return ""
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == "socket:["+inode+"]" {
			pid := strings.Split(link, "/")[2]
			name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
			if err != nil {
				return " by process " + pid
			}
			return fmt.Sprintf(" by process %s (%s)", pid, strings.TrimSpace(string(name)))
		}
	}
	return ""
}

func listeningInode(number int) string {
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		if inode := findListener(string(content), number); inode != "" {
			return inode
		}
	}
	return ""
}

// findListener finds the socket that listens on the port in a table of
// /proc/net: local address, state (0A is listening) and inode are the second,
// the fourth and the tenth field.
func findListener(table string, number int) string {
	suffix := fmt.Sprintf(":%04X", number)
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[3] == "0A" && strings.HasSuffix(fields[1], suffix) {
			return fields[9]
		}
	}
	return ""
}
