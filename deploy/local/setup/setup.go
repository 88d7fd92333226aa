// Package setup installs the few Debian packages the local cluster uses as
// they are: what is small, settled and part of every distribution (runc, the
// CNI plugins, nft, ip, a static busybox, mmdebstrap), and what tests use: restic,
// Node.js, a C compiler for the race detector. Everything else is built from source.
package setup

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/salvor-io/salvor/deploy/local/progress"
)

// need is a package and how to see that what it brings is there.
type need struct {
	pkg     string
	present func() bool
}

// PluginDir is where Debian puts the CNI plugins.
const PluginDir = "/usr/lib/cni"

// Busybox is where Debian puts its static busybox.
const Busybox = "/bin/busybox"

// What packages are installed for.
const (
	// Cluster is to start the local cluster.
	Cluster = "cluster"
	// Images is to build images for it.
	Images = "images"
	// Tests is to run the tests of `make test`.
	Tests = "tests"
	// Race is to build them with the race detector.
	Race = "race"
)

// Purposes are all there are.
func Purposes() []string { return []string{Cluster, Images, Tests, Race} }

// needs of a purpose. Tests start restic, and Azurite, the server of Azure's blob
// protocol, which runs on Node.js and is installed by npm. The race detector is C.
func needs(purpose string) ([]need, error) {
	switch purpose {
	case Cluster:
		return []need{
			{"runc", command("runc")},
			{"containernetworking-plugins", file(PluginDir + "/bridge")},
			{"nftables", command("nft")},
			{"iproute2", command("ip")},
			{"busybox-static", staticBusybox},
		}, nil
	case Images:
		return []need{
			{"mmdebstrap", command("mmdebstrap")},
			{"ca-certificates", file("/etc/ssl/certs/ca-certificates.crt")},
		}, nil
	case Tests:
		return []need{
			{"nodejs", command("node")},
			{"npm", command("npm")},
			{"restic", command("restic")},
		}, nil
	case Race:
		return []need{
			{"gcc", command("gcc")},
			{"libc6-dev", file("/usr/include/stdlib.h")},
		}, nil
	}
	return nil, fmt.Errorf("nothing is known to be needed for %q; it is one of %s", purpose, strings.Join(Purposes(), ", "))
}

// Install installs what is missing for these purposes, and nothing when nothing is.
func Install(ctx context.Context, out *progress.Printer, purposes ...string) error {
	missing, err := lacking(purposes...)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		out.Skip("install Debian packages", "all there")
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine has no apt-get; install what Debian calls %s and try again", strings.Join(missing, ", "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("installing %s needs root", strings.Join(missing, ", "))
	}
	if err := out.Step(ctx, "apt-get update", apt("update", "-q")); err != nil {
		return err
	}
	args := append([]string{"install", "-q", "-y", "--no-install-recommends"}, missing...)
	return out.Step(ctx, "apt-get install "+strings.Join(missing, " "), apt(args...))
}

// Check tells what up would miss.
func Check() error {
	missing, err := lacking(Cluster)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing on this machine: %s; run `make setup`", strings.Join(missing, ", "))
	}
	return nil
}

func lacking(purposes ...string) (missing []string, err error) {
	for _, purpose := range purposes {
		all, err := needs(purpose)
		if err != nil {
			return nil, err
		}
		for _, n := range all {
			if !n.present() {
				missing = append(missing, n.pkg)
			}
		}
	}
	return missing, nil
}

func apt(args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, said)
		}
		return nil
	}
}

func command(name string) func() bool {
	return func() bool {
		_, err := exec.LookPath(name)
		return err == nil || errors.Is(err, exec.ErrDot)
	}
}

func file(path string) func() bool {
	return func() bool {
		_, err := os.Stat(path)
		return err == nil
	}
}

// staticBusybox looks for the busybox without an interpreter: the dynamic one
// of the package "busybox" has the same path and does not run in an empty image.
func staticBusybox() bool {
	binary, err := elf.Open(Busybox)
	if err != nil {
		return false
	}
	defer binary.Close()
	for _, program := range binary.Progs {
		if program.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}
