package podexec_test

import (
	"bufio"
	"net/url"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/output"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/podexec"
	"github.com/salvor-io/salvor/runner/functiontest"
	"github.com/salvor-io/salvor/runner/functiontest/exectest"
)

// Whatever is between, what the command is told in secret reaches it, and is in no
// request.
func TestStdinReachesTheCommand(t *testing.T) {
	t.Parallel()
	for name, noSPDY := range map[string]bool{"SPDY": false, "WebSocket": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Repeat("line of secrets 7f3a\n", 5000) + "end\n"
			s := &exectest.Server{T: t, NoSPDY: noSPDY, Pods: map[string]*corev1.Pod{"db-0": exectest.Pod("db-0", "main")}}
			s.Behave = func(query url.Values, p exectest.Process) int {
				assert.NotContains(t, query.Encode(), "7f3a")
				read, in := "", bufio.NewReader(p.Stdin)
				for !strings.HasSuffix(read, "end\n") {
					line, err := in.ReadString('\n')
					if !assert.NoError(t, err) { //nolint:testifylint // not the goroutine of the test
						return 1
					}
					read += line
				}
				assert.Equal(t, text, read)
				p.Out(output.Marker + `{"key":"k","value":"v"}` + "\n")
				return 0
			}
			call := &function.Call{
				Kube: functiontest.Clients(t, s.Start()), Clock: clock.RealClock{}, Log: zerolog.Nop(), Values: &blueprint.Values{},
			}
			values, err := podexec.Run(t.Context(), call, podexec.Target{Namespace: "db", Pod: "db-0"}, podexec.Command{Args: []string{"sh"}, Stdin: text})
			require.NoError(t, err)
			assert.Equal(t, map[string]any{"k": "v"}, values)
		})
	}
}
