package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// nft tables: kube-proxy's own, which it leaves behind when it ends, and ours.
func tables() []string {
	return []string{"ip kube-proxy", "ip6 kube-proxy", "ip " + natTable}
}

// makeNetwork makes the bridge with the node's address, and lets pods reach
// what this machine reaches. The bridge comes before the programs: its address
// is the node's, and the API server listens on it.
func makeNetwork(ctx context.Context) error {
	return errors.Join(
		run(ctx, "", "ip", "link", "add", bridge, "type", "bridge"),
		run(ctx, "", "ip", "address", "add", bridgeAddress+"/"+prefixLength(), "dev", bridge),
		run(ctx, "", "ip", "link", "set", bridge, "up"),
		run(ctx, natRules(), "nft", "-f", "-"),
	)
}

func prefixLength() string {
	_, bits, _ := strings.Cut(podNetwork, "/")
	return bits
}

func natRules() string {
	return fmt.Sprintf(`table ip %s {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr %s oifname != %q masquerade
	}
}
`, natTable, podNetwork, bridge)
}

// removeNetwork removes interfaces and tables, whatever of them is there.
func removeNetwork(ctx context.Context) error {
	var errs []error
	for _, name := range slices.Concat(bridgePorts(), []string{bridge}) {
		if interfaceExists(name) {
			err := run(ctx, "", "ip", "link", "delete", name)
			// A veth goes with its namespace, perhaps just now.
			if err != nil && interfaceExists(name) {
				errs = append(errs, err)
			}
		}
	}
	left, err := ownTables(ctx)
	errs = append(errs, err)
	for _, table := range left {
		errs = append(errs, run(ctx, "", "nft", append([]string{"delete", "table"}, strings.Fields(table)...)...))
	}
	return errors.Join(errs...)
}

// bridgePorts returns the interfaces that hang on our bridge.
func bridgePorts() []string {
	entries, err := os.ReadDir(filepath.Join("/sys/class/net", bridge, "brif"))
	if err != nil {
		return nil // no bridge, no ports
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func interfaceExists(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name))
	return err == nil
}

// ownTables returns those of our nft tables that exist.
func ownTables(ctx context.Context) ([]string, error) {
	if _, err := exec.LookPath("nft"); err != nil {
		return nil, nil //nolint:nilerr // without nft there never was a table
	}
	said, err := exec.CommandContext(ctx, "nft", "list", "tables").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("list the nft tables: %w: %s", err, said)
	}
	var found []string
	for line := range strings.Lines(string(said)) {
		name := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "table "))
		if slices.Contains(tables(), name) {
			found = append(found, name)
		}
	}
	return found, nil
}

// overlaps returns an interface, other than our bridge, whose network overlaps
// those of the cluster.
func overlaps() error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, candidate := range interfaces {
		addresses, err := candidate.Addrs()
		if err != nil || candidate.Name == bridge {
			continue
		}
		for _, address := range addresses {
			own, ok := address.(*net.IPNet)
			if !ok {
				continue
			}
			for _, used := range []string{podNetwork, services} {
				_, network, err := net.ParseCIDR(used)
				if err == nil && (network.Contains(own.IP) || own.Contains(network.IP)) {
					return fmt.Errorf("interface %s has %s, which overlaps the cluster's network %s", candidate.Name, own, used)
				}
			}
		}
	}
	return nil
}

// run runs a command and puts what it said into the error.
func run(ctx context.Context, input, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(input)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(said)))
	}
	return nil
}
