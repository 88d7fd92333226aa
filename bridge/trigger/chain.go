package trigger

import (
	"fmt"
	"slices"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// ownSource is the prefix of the sources of Salvor's own events. The ingress
// refuses it.
const ownSource = "/salvor/"

// maxChain bounds how many triggers may lead to one another.
const maxChain = 16

func isOwn(e *cloudevents.Event) bool { return strings.HasPrefix(e.Source(), ownSource) }

// isFor reports whether an event is for one trigger and no other.
func isFor(e *cloudevents.Event) bool {
	return strings.HasPrefix(e.Source(), event.SourceSchedule+"/") || strings.HasPrefix(e.Source(), event.SourceKubernetes+"/")
}

// chainOf are the UIDs of the triggers that led to an event of Salvor's own.
func chainOf(e *cloudevents.Event) []string {
	if !isOwn(e) {
		return nil
	}
	text, ok := e.Extensions()[event.ExtChain].(string)
	if !ok || text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// loop says in words why an event must not start the trigger, if it must not.
func (c *Controller) loop(t *salvor.ActionTrigger, e *cloudevents.Event) string {
	chain := chainOf(e)
	switch {
	case slices.Contains(chain, string(t.UID)):
		return "the event is a consequence of this trigger's own run: " + c.nameChain(append(chain, string(t.UID)))
	case len(chain) >= maxChain:
		return fmt.Sprintf("more than %d triggers led to one another: %s", maxChain, c.nameChain(chain))
	}
	return ""
}

// nameChain names the triggers of a chain, as far as they are known.
func (c *Controller) nameChain(chain []string) string {
	names := map[string]string{}
	for _, t := range c.Watcher.All() {
		names[string(t.UID)] = t.Name
	}
	out := make([]string, 0, len(chain))
	for _, uid := range chain {
		name := names[uid]
		if name == "" {
			name = uid
		}
		out = append(out, name)
	}
	return strings.Join(out, " → ")
}
