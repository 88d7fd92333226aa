package dlq

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/duration"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/wait"
)

// messageWidth is how much of a message the table shows, in characters.
const messageWidth = 100

// table prints one line for each ActionSet, the newest letter last.
func table(a *app.App, found []kanister.ActionSet, namespaces bool) error {
	slices.SortStableFunc(found, func(x, y kanister.ActionSet) int {
		return wait.Condition(&x, condition).LastTransitionTime.Compare(wait.Condition(&y, condition).LastTransitionTime.Time)
	})
	tab := tabwriter.NewWriter(a.Out, 0, 8, 3, ' ', 0)
	header := "NAME\tSTATE\tPARKED\tWHAT"
	if namespaces {
		header = "NAMESPACE\t" + header
	}
	_, _ = fmt.Fprintln(tab, header) // Flush reports the error
	for i := range found {
		as := &found[i]
		c := wait.Condition(as, condition)
		if namespaces {
			_, _ = fmt.Fprintf(tab, "%s\t", as.Namespace) // Flush reports the error
		}
		_, _ = fmt.Fprintf(tab, "%s\t%s\t%s ago\t%s\n", as.Name, as.Status.State,
			duration.HumanDuration(a.Clock.Since(c.LastTransitionTime.Time)), short(c.Message)) // Flush reports the error
	}
	if err := tab.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

// story prints all that the ActionSet tells.
func story(a *app.App, as *kanister.ActionSet) {
	c := wait.Condition(as, condition)
	a.Printf("ActionSet:  %s/%s\n", as.Namespace, as.Name)
	a.Printf("State:      %s\n", as.Status.State)
	a.Printf("Created:    %s\n", as.CreationTimestamp.UTC().Format(time.RFC3339))
	a.Printf("Parked:     %s\n\n", c.LastTransitionTime.UTC().Format(time.RFC3339))
	for line := range strings.Lines(c.Message) {
		a.Printf("%s\n", clean(line))
	}
	a.Printf("\nPhases:\n")
	for i := range as.Status.Actions {
		action := &as.Status.Actions[i]
		for j := range action.Phases {
			a.Printf("  %s: %s %s\n", clean(action.Name), clean(action.Phases[j].Name), action.Phases[j].State)
		}
		if action.DeferPhase != nil {
			a.Printf("  %s: deferPhase %s %s\n", clean(action.Name), clean(action.DeferPhase.Name), action.DeferPhase.State)
		}
	}
	for i := range as.Status.Conditions {
		if other := &as.Status.Conditions[i]; other.Type != condition {
			a.Printf("\n%s (%s): %s\n", other.Type, other.Status, clean(other.Message))
		}
	}
	a.Printf("\nMend what took the runners down, then: salvor dlq replay %s -n %s\n", as.Name, as.Namespace)
}

// clean is text on one line, without what moves the cursor.
func clean(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
}

func short(message string) string {
	runes := []rune(clean(message))
	if len(runes) > messageWidth {
		return string(runes[:messageWidth-1]) + "…"
	}
	return string(runes)
}
