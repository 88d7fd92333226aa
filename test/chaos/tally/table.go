package tally

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Boundary is where something was killed, how often, and how long it took to go on.
type Boundary struct {
	Name string
	// Killed is how often.
	Killed int
	// Worst is the longest time from the readiness of the new process to the first
	// thing that it did for a run which was under way; 0 if Measured is 0.
	Worst    time.Duration
	Measured int
	// Problem says why the boundary was not exercised as it had to be; empty if it
	// was.
	Problem string
}

// Row is one line of the table.
type Row struct {
	Boundary

	Runs, Lost, Duplicated, Stuck, Wrong, Orphans, Interrupted, Repeated int
}

// Bad reports whether the row has something that must not be.
func (r *Row) Bad() bool {
	return r.Lost+r.Duplicated+r.Stuck+r.Wrong+r.Orphans > 0 || r.Problem != ""
}

// Count makes the rows: one for each boundary, in order, and the total, in which
// every run counts once.
func Count(boundaries []Boundary, runs []*Run) (rows []Row, total Row) {
	index := map[string]int{}
	total.Name = "all"
	for _, b := range boundaries {
		index[b.Name] = len(rows)
		rows = append(rows, Row{Boundary: b})
		total.Killed += b.Killed
		total.Measured += b.Measured
		total.Worst = max(total.Worst, b.Worst)
	}
	for _, r := range runs {
		if !r.Accepted {
			continue
		}
		v := Judge(r)
		total.add(&v)
		met := slices.Clone(r.Boundaries)
		slices.Sort(met)
		for _, name := range slices.Compact(met) {
			if at, known := index[name]; known {
				rows[at].add(&v)
			}
		}
	}
	return rows, total
}

func (r *Row) add(v *Verdict) {
	r.Runs++
	for _, c := range []struct {
		n  *int
		is bool
	}{
		{&r.Lost, v.Lost},
		{&r.Duplicated, v.Duplicated},
		{&r.Stuck, v.Stuck},
		{&r.Wrong, v.Wrong},
		{&r.Orphans, v.Orphans},
		{&r.Interrupted, v.Interrupted},
		{&r.Repeated, v.Repeated},
	} {
		if c.is {
			*c.n++
		}
	}
}

// Format lays the rows out for a terminal. A boundary that was met by no kill, and
// need not be, has no row.
func Format(rows []Row, total *Row) string {
	var b strings.Builder
	width := len("boundary")
	for i := range rows {
		width = max(width, len(rows[i].Name))
	}
	fmt.Fprintf(&b, "%-*s %6s %6s %5s %5s %6s %6s %8s %12s %9s %15s\n", width,
		"boundary", "runs", "killed", "lost", "dup.", "stuck", "wrong", "orphans", "interrupted", "repeated", "worst recovery")
	for _, r := range append(slices.Clone(rows), *total) {
		if r.Killed == 0 && !r.Bad() && r.Name != total.Name {
			continue
		}
		worst := "-"
		if r.Measured > 0 {
			worst = fmt.Sprintf("%.2f s", r.Worst.Seconds())
		}
		if r.Name == total.Name {
			b.WriteString(strings.Repeat("-", width+89) + "\n")
		}
		fmt.Fprintf(&b, "%-*s %6d %6d %5d %5d %6d %6d %8d %12d %9d %15s", width,
			r.Name, r.Runs, r.Killed, r.Lost, r.Duplicated, r.Stuck, r.Wrong, r.Orphans, r.Interrupted, r.Repeated, worst)
		if r.Problem != "" {
			b.WriteString("  " + r.Problem)
		}
		b.WriteString("\n")
	}
	return b.String()
}
