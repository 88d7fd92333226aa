package harness

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
)

var forwarding = regexp.MustCompile(`^Forwarding from 127\.0\.0\.1:(\d+)`)

// Forward makes a port of a Service reachable on a free loopback port, through
// kubectl port-forward, until stop is called.
func (t *Tools) Forward(ctx context.Context, namespace, service string, port int) (address string, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := t.Command(ctx, "kubectl", "port-forward", "-n", namespace, "service/"+service, ":"+strconv.Itoa(port), "--address=127.0.0.1")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return "", nil, fmt.Errorf("port-forward: %w", err)
	}
	stderr := &tail{}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		cancel()
		return "", nil, fmt.Errorf("port-forward: %w", err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if found := forwarding.FindStringSubmatch(lines.Text()); found != nil {
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = io.Copy(io.Discard, stdout) // the connections' log
				_ = cmd.Wait()                     // ended by cancel
			}()
			return "127.0.0.1:" + found[1], func() { cancel(); <-done }, nil
		}
	}
	cancel()
	_ = cmd.Wait() // what it said is on stderr
	return "", nil, fmt.Errorf("port-forward to %s/%s:%d: %s", namespace, service, port, stderr.text)
}

// tail keeps the last write, for an error message.
type tail struct{ text []byte }

// Write keeps p.
func (t *tail) Write(p []byte) (int, error) {
	t.text = append([]byte(nil), p...)
	return len(p), nil
}
