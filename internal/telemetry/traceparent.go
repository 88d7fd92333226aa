package telemetry

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"

	"go.opentelemetry.io/otel/trace"

	"github.com/salvor-io/salvor/api/event"
)

// Env is the variable that gives a program the trace context that it continues.
const Env = "TRACEPARENT"

var shape = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$`)

// Valid reports whether text is a W3C trace context.
func Valid(text string) bool {
	_, ok := parse(text)
	return ok
}

func parse(text string) (trace.SpanContext, bool) {
	parts := shape.FindStringSubmatch(text)
	if len(parts) == 0 || parts[1] == "ff" {
		return trace.SpanContext{}, false
	}
	var config trace.SpanContextConfig
	_, errTrace := hex.Decode(config.TraceID[:], []byte(parts[2]))
	_, errSpan := hex.Decode(config.SpanID[:], []byte(parts[3]))
	flags, errFlags := strconv.ParseUint(parts[4], 16, 8)
	if errTrace != nil || errSpan != nil || errFlags != nil {
		return trace.SpanContext{}, false
	}
	config.TraceFlags, config.Remote = trace.TraceFlags(flags), true
	c := trace.NewSpanContext(config)
	return c, c.IsValid()
}

func format(c trace.SpanContext) string {
	const version = "00"
	return version + "-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + (c.TraceFlags() & trace.FlagsSampled).String()
}

// ForRun is the trace context of a run that brought none: it is made from the UID.
func ForRun(uid string) string {
	sum := sha256.Sum256([]byte("salvor trace " + uid))
	return format(trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(sum[:16]), SpanID: runID(uid, 0), TraceFlags: trace.FlagsSampled,
	}))
}

// ForAttempt is the trace context that the pod of an attempt continues. traceparent is
// the run's.
func ForAttempt(traceparent string, k event.Key) string {
	c, ok := parse(traceparent)
	if !ok {
		c, _ = parse(ForRun(k.UID))
	}
	return format(c.WithSpanID(attemptID(k)))
}

// contextOf is the run's trace context. Runs of an older version may have none.
func contextOf(run *event.Run) trace.SpanContext {
	c, ok := parse(run.Traceparent)
	if !ok {
		c, _ = parse(ForRun(run.UID))
	}
	return c
}

func runID(uid string, round int) trace.SpanID { return spanID("run", uid, strconv.Itoa(round)) }

func actionID(uid string, index, round int) trace.SpanID {
	return spanID("action", uid, strconv.Itoa(index), strconv.Itoa(round))
}

func attemptID(k event.Key) trace.SpanID { return spanID("attempt", k.String()) }

// spanID is a hash, never zero.
func spanID(parts ...string) trace.SpanID {
	h := sha256.New()
	for _, part := range parts {
		_, _ = h.Write([]byte(part + "\x1f")) // never fails
	}
	id := trace.SpanID(h.Sum(nil)[:8])
	if !id.IsValid() {
		id[7] = 1
	}
	return id
}
