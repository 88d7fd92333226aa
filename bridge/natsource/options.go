package natsource

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/spf13/pflag"

	"github.com/salvor-io/salvor/api/event"
)

// Options of the source. The zero value takes nothing from NATS.
type Options struct {
	// Subjects of core NATS. A * stands for the namespace.
	Subjects []string
	// Streams of JetStream, each as STREAM or STREAM/SUBJECT. A * of the subject stands
	// for the namespace.
	Streams []string
}

// BindFlags adds a flag for each option.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringSliceVar(&o.Subjects, "nats-events", o.Subjects, "NATS subjects to take CloudEvents from, separated by commas; a * in one stands for the namespace that the event is for")
	fs.StringSliceVar(&o.Streams, "nats-events-stream", o.Streams, "JetStream streams to take CloudEvents from, each as STREAM or STREAM/SUBJECT; a * in the subject stands for the namespace")
}

// Validate checks the options; the error names the flag.
func (o *Options) Validate() error {
	var errs []error
	for _, subject := range o.Subjects {
		if _, err := parseSubject(subject); err != nil {
			errs = append(errs, fmt.Errorf("--nats-events: %w", err))
		}
	}
	for _, text := range o.Streams {
		if _, err := parseStream(text); err != nil {
			errs = append(errs, fmt.Errorf("--nats-events-stream: %w", err))
		}
	}
	return errors.Join(errs...)
}

// subject is a pattern of subjects, and where the namespace stands in them.
type subject struct {
	pattern string
	// namespace is the index of the token; -1 if there is none.
	namespace int
}

// namespaceOf returns the namespace that a message is for, "" for all.
func (s subject) namespaceOf(name string) string {
	tokens := strings.Split(name, ".")
	if s.namespace < 0 || s.namespace >= len(tokens) {
		return ""
	}
	return tokens[s.namespace]
}

func parseSubject(pattern string) (subject, error) {
	parsed := subject{pattern: pattern, namespace: -1}
	tokens := strings.Split(pattern, ".")
	for i, token := range tokens {
		switch {
		case token == "":
			return parsed, fmt.Errorf("subject %q has an empty token", pattern)
		case token == ">" && i < len(tokens)-1:
			return parsed, fmt.Errorf("subject %q: > may only be the last token", pattern)
		case token == "*" && parsed.namespace >= 0:
			return parsed, fmt.Errorf("subject %q has two *; one stands for the namespace, so there can be no other", pattern)
		case token == "*":
			parsed.namespace = i
		case strings.ContainsAny(token, " \t\r\n") || (len(token) > 1 && strings.ContainsAny(token, "*>")):
			return parsed, fmt.Errorf("subject %q: the token %q has a character that it may not have", pattern, token)
		}
	}
	for _, own := range []string{
		event.EventSubjects(), event.RunSubjects(), event.JobSubjects(""), event.ReportSubjects(),
		event.TimerSubjects(), event.FiredSubjects(), event.DeadLetterSubjects(),
	} {
		if natsserver.SubjectsCollide(pattern, own) {
			return parsed, fmt.Errorf("subject %q overlaps with %s, which is Salvor's own; take another", pattern, own)
		}
	}
	if strings.HasPrefix(pattern, "$") || strings.HasPrefix(pattern, "_INBOX.") {
		return parsed, fmt.Errorf("subject %q: subjects that begin with $ or _INBOX are NATS's own; take another", pattern)
	}
	return parsed, nil
}

// streamSource is a stream, and what is taken from it.
type streamSource struct {
	subject

	stream string
	// queue says that each message of the stream goes to one consumer only.
	queue bool
}

func parseStream(text string) (streamSource, error) {
	name, pattern, filtered := strings.Cut(text, "/")
	parsed := streamSource{stream: name, subject: subject{namespace: -1}}
	own := []string{
		event.StreamEvents, event.StreamRuns, event.StreamJobs, event.StreamReports, event.StreamTimers, event.StreamDLQ,
	}
	switch {
	case name == "" || strings.ContainsAny(name, " \t\r\n.*>\\"):
		return parsed, fmt.Errorf("%q is not the name of a stream", name)
	case slices.Contains(own, name) || strings.HasPrefix(name, "KV_") || strings.HasPrefix(name, "OBJ_"):
		return parsed, fmt.Errorf("stream %s is Salvor's or NATS's own; take another", name)
	case !filtered:
		return parsed, nil
	}
	var err error
	parsed.subject, err = parseSubject(pattern)
	return parsed, err
}
