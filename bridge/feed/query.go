package feed

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/salvor-io/salvor/api/event"
)

// query is what a reader asks for.
type query struct {
	since  time.Time
	after  uint64
	types  []string
	follow bool
}

// typePrefix may be left out of type.
const typePrefix = "io.salvor."

// parse refuses what it does not know: a filter that is misspelt would show
// everything.
func parse(values url.Values, now time.Time) (query, error) {
	var q query
	for name, texts := range values {
		var err error
		if name != "type" && len(texts) != 1 {
			return q, fmt.Errorf("%s is given %d times", name, len(texts))
		}
		switch name {
		case "since":
			q.since, err = since(texts[0], now)
		case "after":
			if q.after, err = strconv.ParseUint(texts[0], 10, 64); err != nil {
				err = fmt.Errorf("after: %q is not the number of an event", texts[0])
			}
		case "follow":
			if q.follow, err = strconv.ParseBool(texts[0]); err != nil {
				err = fmt.Errorf("follow: %q is neither true nor false", texts[0])
			}
		case "type":
			q.types, err = prefixes(texts)
		default:
			err = fmt.Errorf("%s is not known here; there are since, after, type and follow", name)
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

func since(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("since: %q is neither a length of time such as 1h nor a time such as 2026-01-02T03:04:05Z", text)
	}
	return at, nil
}

func prefixes(texts []string) ([]string, error) {
	var out []string
	for _, text := range texts {
		if !strings.HasPrefix(text, typePrefix) {
			text = typePrefix + text
		}
		begins := func(typ string) bool { return strings.HasPrefix(typ, text) }
		if !slices.ContainsFunc(event.LifecycleTypes(), begins) {
			return nil, fmt.Errorf("type: nothing begins with %q; there are %s", text, strings.Join(event.LifecycleTypes(), ", "))
		}
		out = append(out, text)
	}
	return out, nil
}
