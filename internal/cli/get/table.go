package get

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Table says how the list is printed.
type Table struct {
	// Namespaces adds the column NAMESPACE.
	Namespaces bool
	// Wide adds BLUEPRINT and PROFILE and prints errors in full.
	Wide bool
	// Now is what ages are counted from.
	Now time.Time
}

// conditionCancelled marks a run that somebody ended; Kanister has no state
// word for it.
const conditionCancelled = "Cancelled"

// none stands in a cell that has nothing to say.
const none = "-"

// errorWidth is how much of an error a narrow table shows, in characters.
const errorWidth = 60

// Write prints a header and one line for each ActionSet, oldest first.
func (t Table) Write(w io.Writer, list []kanister.ActionSet) error {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b kanister.ActionSet) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	tab := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	_, _ = fmt.Fprintln(tab, strings.Join(t.header(), "\t")) // Flush reports the error
	for i := range list {
		_, _ = fmt.Fprintln(tab, strings.Join(t.row(&list[i]), "\t")) // Flush reports the error
	}
	if err := tab.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

func (t Table) header() []string {
	header := []string{"NAME", "STATE", "PROGRESS", "PHASE", "ACTION", "OBJECT", "AGE"}
	if t.Namespaces {
		header = append([]string{"NAMESPACE"}, header...)
	}
	if t.Wide {
		header = append(header, "BLUEPRINT", "PROFILE")
	}
	return append(header, "ERROR")
}

func (t Table) row(as *kanister.ActionSet) []string {
	status := as.Status
	if status == nil {
		status = &kanister.ActionSetStatus{}
	}
	progress := none
	if percent := status.Progress.PercentCompleted; percent != "" {
		progress = percent + "%"
	}
	var specs []kanister.ActionSpec
	if as.Spec != nil {
		specs = as.Spec.Actions
	}
	row := []string{
		as.Name, state(status), progress, cell(status.Progress.RunningPhase),
		each(specs, func(s *kanister.ActionSpec) string { return s.Name }),
		each(specs, func(s *kanister.ActionSpec) string { return objectName(s.Object) }),
		t.age(as),
	}
	if t.Namespaces {
		row = append([]string{as.Namespace}, row...)
	}
	if t.Wide {
		row = append(row,
			each(specs, func(s *kanister.ActionSpec) string { return s.Blueprint }),
			each(specs, func(s *kanister.ActionSpec) string {
				if s.Profile == nil {
					return ""
				}
				return s.Profile.Name
			}))
	}
	return append(row, t.error(status.Error.Message))
}

// state is the status' word, or one that says more: Kanister has none for these.
func state(status *kanister.ActionSetStatus) string {
	ended := status.State == kanister.StateComplete || status.State == kanister.StateFailed
	for _, better := range []struct {
		condition, word string
		ended           bool
	}{
		{conditionCancelled, "cancelled", true},
		{"Paused", "paused", false},
		{"Retrying", "retrying", false},
	} {
		if better.ended != ended {
			continue
		}
		for i := range status.Conditions {
			if c := &status.Conditions[i]; c.Type == better.condition && c.Status == metav1.ConditionTrue {
				return better.word
			}
		}
	}
	return cell(string(status.State))
}

func (t Table) age(as *kanister.ActionSet) string {
	if as.CreationTimestamp.IsZero() {
		return none
	}
	return duration.HumanDuration(t.Now.Sub(as.CreationTimestamp.Time))
}

func (t Table) error(message string) string {
	message = cell(message)
	runes := []rune(message)
	if !t.Wide && len(runes) > errorWidth {
		return string(runes[:errorWidth-1]) + "…"
	}
	return message
}

// each joins a value of every action, each value once.
func each(specs []kanister.ActionSpec, value func(*kanister.ActionSpec) string) string {
	var values []string
	for i := range specs {
		if v := value(&specs[i]); v != "" && !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return cell(strings.Join(values, ","))
}

func objectName(o kanister.ObjectReference) string {
	kind := cmp.Or(o.Kind, o.Resource)
	name := o.Name
	if o.Namespace != "" && !strings.EqualFold(kind, "namespace") {
		name = o.Namespace + "/" + o.Name
	}
	if kind == "" {
		return name
	}
	return kind + "/" + name
}

// cell makes a text fit for one cell: one line, nothing that moves the cursor.
func cell(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if text == "" {
		return none
	}
	return text
}
