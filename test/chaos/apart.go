package main

import (
	"context"
	"strings"
)

// hasBroker tells whether the broker is a role of its own.
func (l *lab) hasBroker() bool {
	return l.has("--cluster-listen") || strings.Contains(l.flags, "--roles broker")
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
		if _, err := f.add("broker", append([]string{"--roles", "broker"}, store...)...); err != nil {
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
		if _, err := f.add(p.name, args...); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// r3 kills one of three brokers.
func r3(_ context.Context, l *lab, _ int) error {
	l.ledger.list(memberRow)
	if !l.hasBroker() {
		l.say("r3: SKIPPED, this salvor has no role broker, so there is no cluster of three to kill a member of")
		return nil
	}
	return nil
}
