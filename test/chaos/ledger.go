package main

import (
	"sync"
	"time"

	"github.com/salvor-io/salvor/test/chaos/tally"
)

// ledger keeps what happened at each boundary.
type ledger struct {
	mu    sync.Mutex
	order []string
	rows  map[string]*tally.Boundary
}

func newLedger() *ledger { return &ledger{rows: map[string]*tally.Boundary{}} }

func (l *ledger) row(name string) *tally.Boundary {
	r := l.rows[name]
	if r == nil {
		r = &tally.Boundary{Name: name}
		l.rows[name] = r
		l.order = append(l.order, name)
	}
	return r
}

// list makes rows in an order, before anything happens.
func (l *ledger) list(names ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range names {
		l.row(name)
	}
}

func (l *ledger) killed(name string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.row(name).Killed += n
}

func (l *ledger) recovered(name string, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.row(name)
	r.Measured++
	r.Worst = max(r.Worst, took)
}

// problem notes why a boundary was not exercised as it had to be.
func (l *ledger) problem(name, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.row(name).Problem = what
}

// of is how often something was killed at a boundary.
func (l *ledger) of(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.rows[name]; r != nil {
		return r.Killed
	}
	return 0
}

// worst is the longest recovery at a boundary.
func (l *ledger) worst(name string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.rows[name]; r != nil {
		return r.Worst
	}
	return 0
}

func (l *ledger) boundaries() []tally.Boundary {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []tally.Boundary
	for _, name := range l.order {
		list = append(list, *l.rows[name])
	}
	return list
}
