package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// hasBroker tells whether the broker is a role of its own.
func (l *lab) hasBroker() bool {
	return l.has("--broker-cluster-listen")
}

// apart is one process for each role, two for the runners.
func (l *lab) apart(name string) (*fleet, error) {
	f, err := l.newFleet(name)
	if err != nil {
		return nil, err
	}
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	f.nats = "nats://" + listen
	store := []string{"--data-dir", f.dataDir(), "--nats-listen", listen}
	client := []string{"--nats", f.nats}
	if l.hasBroker() {
		if err := f.add("broker", append([]string{"--roles", "broker"}, store...)...); err != nil {
			return nil, err
		}
		store = client
	}
	for _, p := range []struct {
		name string
		args [][]string
	}{
		{"bridge", [][]string{{"--roles", "bridge"}, store, l.bridgeArgs()}},
		{"dispatcher", [][]string{{"--roles", "dispatcher"}, client}},
		{"runner-a", [][]string{{"--roles", "runner"}, client, l.runnerArgs("runner-a")}},
		{"runner-b", [][]string{{"--roles", "runner"}, client, l.runnerArgs("runner-b")}},
	} {
		var args []string
		for _, some := range p.args {
			args = append(args, some...)
		}
		if err := f.add(p.name, args...); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// members is how many brokers form a cluster.
const members = 3

// cluster is three brokers and one process with all other roles.
func (l *lab) cluster(name string) (*fleet, error) {
	f, err := l.newFleet(name)
	if err != nil {
		return nil, err
	}
	const user, password = "chaos", "chaos"
	clients, between := filepath.Join(f.dir, "clients"), filepath.Join(f.dir, "between")
	for _, file := range []string{clients, between} {
		if err := os.WriteFile(file, []byte(user+":"+password+"\n"), 0o600); err != nil {
			return nil, err
		}
	}
	addresses := make([]string, 2*members)
	for i := range addresses {
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	listens, routes := addresses[:members], addresses[members:]
	for i := range members {
		broker := fmt.Sprintf("broker-%d", i)
		if err := f.add(broker, "--roles", "broker", "--data-dir", filepath.Join(f.dataDir(), broker), "--nats-listen", listens[i],
			"--nats-auth", clients, "--broker-name", broker, "--broker-cluster-listen", routes[i], "--broker-cluster-auth", between,
			"--broker-routes", "nats://"+strings.Join(routes, ",nats://")); err != nil {
			return nil, err
		}
	}
	urls := "nats://" + strings.Join(listens, ",nats://")
	f.nats = "nats://" + user + ":" + password + "@" + strings.Join(listens, ",nats://"+user+":"+password+"@")
	err = f.add("salvor", slices.Concat([]string{
		"--roles", "bridge,dispatcher,runner", "--nats", urls, "--nats-auth", clients,
		"--replicas", strconv.Itoa(members),
	}, l.bridgeArgs(), l.runnerArgs("runner-0"))...)
	return f, err
}

// r3 kills one of three brokers after the other.
func r3(ctx context.Context, l *lab, kills int) error {
	l.ledger.list(memberRow)
	if !l.hasBroker() {
		l.say("r3: SKIPPED, this salvor has no role broker, so there is no cluster of three to kill a member of")
		return nil
	}
	f, err := l.cluster("r3")
	if err != nil {
		return err
	}
	return l.under(ctx, f, "r3", func(k *killer) error {
		var targets []target
		for _, s := range f.servers[:members] {
			targets = append(targets, l.moments(memberRow, s)...)
		}
		return k.turns(ctx, targets, kills)
	})
}
