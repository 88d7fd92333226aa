package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/salvor-io/salvor/internal/failpoint"
)

// readyLimit bounds every start. Nothing is expected to take it.
const readyLimit = time.Minute

// fleet is the Salvor processes of one scenario, which share an armed failpoint.
type fleet struct {
	lab     *lab
	name    string
	dir     string
	nats    string // URLs for the harness
	servers []*server
}

// newFleet makes the fleet's folders; servers are added to it.
func (l *lab) newFleet(name string) (*fleet, error) {
	f := &fleet{lab: l, name: name, dir: filepath.Join(l.dir, name)}
	for _, dir := range []string{f.points(), f.logs()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *fleet) points() string  { return filepath.Join(f.dir, "points") }
func (f *fleet) logs() string    { return filepath.Join(f.dir, "logs") }
func (f *fleet) dataDir() string { return filepath.Join(f.dir, "data") }

// add makes a process of the fleet; it is not started.
func (f *fleet) add(name string, args ...string) error {
	probe, err := freeAddress()
	if err != nil {
		return err
	}
	s := &server{
		name: name, program: f.lab.options.Salvor, probe: probe, log: filepath.Join(f.logs(), name+".log"),
		env:  []string{"KUBECONFIG=" + f.lab.tools.Kubeconfig, failpoint.Variable + "=" + f.points()},
		args: append([]string{"serve", "--namespace", ownNamespace, "--probe-listen", probe}, args...),
	}
	f.servers = append(f.servers, s)
	return nil
}

// allInOne is one process with the embedded broker.
func (l *lab) allInOne(name string) (*fleet, error) {
	f, err := l.newFleet(name)
	if err != nil {
		return nil, err
	}
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	f.nats = "nats://" + listen
	err = f.add("salvor", slices.Concat([]string{"--data-dir", f.dataDir(), "--nats-listen", listen}, l.bridgeArgs(), l.runnerArgs("runner-0"))...)
	return f, err
}

func (l *lab) bridgeArgs() []string {
	return []string{"--namespaces", l.namespace, "--listen", "127.0.0.1:0"}
}

func (l *lab) runnerArgs(name string) []string {
	args := []string{"--runner-name", name}
	if l.fast {
		// More of each life is spent in taking over, less in waiting for it.
		args = append(args, "--runner-ack-wait", "2s", "--runner-claim-ttl", "3s")
	}
	if l.has("--poison-after") {
		// Kills come so often that an innocent job may well meet three of them.
		args = append(args, "--poison-after", "0")
	}
	return args
}

// start starts all processes and waits until they are ready.
func (f *fleet) start(ctx context.Context) error {
	for _, s := range f.servers {
		if !s.running() {
			if err := s.start(); err != nil {
				return err
			}
		}
	}
	for _, s := range f.servers {
		if _, err := s.ready(ctx, readyLimit); err != nil {
			return err
		}
	}
	return nil
}

// close ends all processes.
func (f *fleet) close() {
	for _, s := range slices.Backward(f.servers) {
		s.kill()
	}
}

// dead are the processes that have ended.
func (f *fleet) dead() []*server {
	var dead []*server
	for _, s := range f.servers {
		if !s.running() {
			dead = append(dead, s)
		}
	}
	return dead
}

// armed is the file that arms a failpoint.
func (f *fleet) armed() string { return filepath.Join(f.points(), "armed") }

// arm arms a point: the process that calls it for the nth time from now is killed.
func (f *fleet) arm(point failpoint.Point, nth int) error {
	aside := f.armed() + ".new"
	if err := os.WriteFile(aside, fmt.Appendf(nil, "%s %d\n", point, nth), 0o644); err != nil {
		return err
	}
	return os.Rename(aside, f.armed())
}

// disarm takes the armed point back.
func (f *fleet) disarm() { _ = os.Remove(f.armed()) }

// kills is how often processes were killed at a point.
func (f *fleet) kills(point failpoint.Point) int {
	text, err := os.ReadFile(filepath.Join(f.points(), "killed", string(point)))
	if err != nil {
		return 0
	}
	return strings.Count(string(text), "\n")
}

// connect opens a connection of the harness to the fleet's NATS.
func (f *fleet) connect() (*nats.Conn, error) {
	nc, err := nats.Connect(f.nats, nats.Name("chaos"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("connect to NATS of %s: %w", f.name, err)
	}
	return nc, nil
}

// freeAddress is a loopback address that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// died tells of processes that ended though nobody killed them.
func died(dead []*server) error {
	var errs []error
	for _, s := range dead {
		errs = append(errs, fmt.Errorf("%s ended by itself: %w; see %s", s.name, s.endedBy, s.log))
	}
	return errors.Join(errs...)
}
