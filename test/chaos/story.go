package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/salvor-io/salvor/test/chaos/tally"
)

// linesOfStory bounds what is printed of the logs of one run.
const linesOfStory = 60

// tellStory prints all that is known of a run that went wrong.
func (l *lab) tellStory(t *track) {
	v := tally.Judge(&t.Run)
	fmt.Fprintf(l.out, "--- %s (uid %s)\n", t.ID, t.UID)
	for _, why := range v.Why {
		fmt.Fprintf(l.out, "  fault: %s\n", why)
	}
	for _, line := range t.Lines {
		fmt.Fprintf(l.out, "  effect: %s by %s\n", line.Step, line.By)
	}
	for _, line := range t.story {
		fmt.Fprintf(l.out, "  %s\n", line)
	}
	if t.UID == "" {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(l.dir, "*", "logs", "*.log")) // the pattern is good
	for _, log := range logs {
		found := grep(log, t.UID)
		if len(found) == 0 {
			continue
		}
		fmt.Fprintf(l.out, "  from %s:\n", log)
		if cut := len(found) - linesOfStory; cut > 0 {
			fmt.Fprintf(l.out, "    (%d lines before)\n", cut)
			found = found[cut:]
		}
		for _, line := range found {
			fmt.Fprintf(l.out, "    %s\n", line)
		}
	}
}

// grep returns the lines of a file that have a text.
func grep(path, text string) []string {
	f, err := os.Open(path)
	if err != nil {
		return []string{err.Error()}
	}
	defer f.Close()
	var found []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			found = append(found, lines.Text())
		}
	}
	return found
}
