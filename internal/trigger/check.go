package trigger

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/nearest"
	"github.com/salvor-io/salvor/internal/policy"
)

const (
	// maxCoalesce bounds how long an event may wait for others: what became of an
	// event can be asked for a day.
	maxCoalesce = 24 * time.Hour
	// maxPer bounds the window of a rate limit, whose starts are remembered.
	maxPer    = 31 * 24 * time.Hour
	maxStarts = 1000
	// maxTemplates bounds the work that an event can cause: that of each template is
	// bounded too.
	maxTemplates = 64
)

// durationText is what the CRD accepts.
var durationText = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`)

func compile(t *salvor.ActionTrigger) (*Compiled, []Problem) {
	c := &compiler{trigger: t}
	out := &Compiled{trigger: t}
	c.when(&t.Spec.When, out)
	c.limits(&t.Spec, out)
	c.keep(&t.Spec)
	c.template(&t.Spec, out)
	if len(c.problems) == 0 {
		c.tick(out)
	}
	return out, c.problems
}

func (c *compiler) when(w *salvor.TriggerSource, out *Compiled) {
	if w.Event == nil && w.Schedule == nil && w.Kubernetes == nil {
		c.add("spec.when", "set event, schedule or kubernetes", "it is empty, so nothing fires the trigger")
	}
	if w.Event != nil {
		out.filters = c.filters(w.Event)
	}
	if w.Schedule != nil {
		out.schedule = c.schedule(w.Schedule)
	}
	if w.Kubernetes != nil {
		c.kubernetes(w.Kubernetes)
	}
}

func (c *compiler) limits(s *salvor.ActionTriggerSpec, out *Compiled) {
	switch s.Concurrency {
	case "", salvor.ConcurrencyAllow, salvor.ConcurrencyForbid, salvor.ConcurrencyReplace:
	default:
		c.oneOf("spec.concurrency", string(s.Concurrency), string(salvor.ConcurrencyAllow), string(salvor.ConcurrencyForbid), string(salvor.ConcurrencyReplace))
	}
	out.coalesce = c.duration("spec.coalesce", s.Coalesce, maxCoalesce)
	if s.RateLimit == nil {
		return
	}
	const field = "spec.rateLimit"
	if s.RateLimit.Starts < 1 || s.RateLimit.Starts > maxStarts {
		c.add(field+".starts", fmt.Sprintf("use 1 to %d; to stop the trigger, set spec.suspend", maxStarts), "%d starts cannot be counted", s.RateLimit.Starts)
	}
	before := len(c.problems)
	out.per = c.duration(field+".per", s.RateLimit.Per, maxPer)
	out.starts = int(s.RateLimit.Starts)
	if out.per == 0 && len(c.problems) == before {
		c.add(field+".per", "use a length of time, such as 1h", "a window of no length limits nothing")
	}
}

// duration reads a length of time; "" is 0. most bounds it if it is not 0.
func (c *compiler) duration(field string, d salvor.Duration, most time.Duration) time.Duration {
	if d == "" {
		return 0
	}
	value, err := time.ParseDuration(string(d))
	switch {
	case strings.HasPrefix(string(d), "-") && err == nil:
		c.add(field, "use a length of time, such as 30s", "%s is before now", d)
	case err != nil || !durationText.MatchString(string(d)):
		hint := "write it as 90s, 15m or 36h"
		if n, ok := strings.CutSuffix(string(d), "d"); ok {
			if days, err := strconv.Atoi(n); err == nil {
				hint = fmt.Sprintf("write days as hours: %dh", days*24)
			}
		}
		c.add(field, hint, "%q is no length of time", string(d))
	case most > 0 && value > most:
		c.add(field, "use less", "%s is more than %s", d, most)
	default:
		return value
	}
	return 0
}

func (c *compiler) oneOf(field, is string, words ...string) {
	hint := "use " + strings.Join(words, " or ")
	if near := nearest.Name(is, words); near != "" {
		hint = "did you mean " + near + "?"
	}
	c.add(field, hint, "%q is not known", is)
}

// template checks the ActionSet to be made.
func (c *compiler) template(s *salvor.ActionTriggerSpec, out *Compiled) {
	const base = "spec.template."
	c.text("spec.key", s.Key)
	for _, name := range slices.Sorted(maps.Keys(s.Template.Metadata.Labels)) {
		field, value := base+"metadata.labels["+name+"]", s.Template.Metadata.Labels[name]
		c.name(field, name)
		if blueprint.IsTemplate(value) {
			c.text(field, value)
		} else if wrong := validation.IsValidLabelValue(value); len(wrong) > 0 {
			c.add(field, "", "%q is no value of a label: %s", clip(value), strings.Join(wrong, "; "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Template.Metadata.Annotations)) {
		field := base + "metadata.annotations[" + name + "]"
		c.name(field, name)
		c.text(field, s.Template.Metadata.Annotations[name])
	}
	c.policy(&s.Template)
	if len(s.Template.Spec.Actions) == 0 {
		c.add(base+"spec.actions", "name at least one action", "it is empty")
	}
	for i := range s.Template.Spec.Actions {
		field, action := fmt.Sprintf("%sspec.actions[%d]", base, i), &s.Template.Spec.Actions[i]
		if action.Name == "" {
			c.add(field+".name", "name an action of the blueprint, such as backup", "it is empty")
		}
		for _, name := range slices.Sorted(maps.Keys(action.Options)) {
			c.text(field+".options["+name+"]", action.Options[name])
		}
		rest := action.DeepCopy()
		for name := range rest.Options {
			rest.Options[name] = ""
		}
		c.plain(field, rest)
	}
	c.artifacts(s, out)
}

// policy checks the annotations that a run would refuse.
func (c *compiler) policy(t *salvor.ActionSetTemplate) {
	in := policy.Input{ActionSet: map[string]string{}, Asked: []string{}}
	for name, value := range t.Metadata.Annotations {
		if !blueprint.IsTemplate(value) {
			in.ActionSet[name] = value
		}
	}
	for i := range t.Spec.Actions {
		in.Asked = append(in.Asked, t.Spec.Actions[i].Name)
	}
	_, errs := policy.For(in)
	for _, err := range errs {
		if wrong, ok := errors.AsType[*policy.Error](err); ok {
			c.add("spec.template.metadata.annotations["+wrong.Annotation+"]", "", "%q: %s", wrong.Value, wrong.Message)
		}
	}
}

// text checks a template over .Event.
func (c *compiler) text(field, text string) {
	if !blueprint.IsTemplate(text) {
		return
	}
	if c.templates++; c.templates == maxTemplates+1 {
		c.add(field, "make fewer values from events", "there are more than %d templates", maxTemplates)
	}
	if c.templates > maxTemplates {
		return
	}
	if c.texts == nil {
		c.texts = blueprint.NewTexts()
	}
	paths, hint, err := c.texts.Parse(text)
	if err != nil {
		c.add(field, hint, "template does not parse: %s", err)
		return
	}
	for _, path := range paths {
		switch {
		case len(path) == 0:
		case path[0] != "Event":
			c.add(field, "templates of a trigger start from .Event", "template names .%s, which does not exist", path[0])
		case len(path) > 1 && !attributeName.MatchString(path[1]):
			c.add(field, "did you mean .Event."+strings.ToLower(path[1])+"?",
				"template names .Event.%s, which cannot be: names of attributes are lower-case letters and digits", path[1])
		}
	}
}

// name checks the name of a label or an annotation of the ActionSet.
func (c *compiler) name(field, name string) {
	if wrong := validation.IsQualifiedName(name); len(wrong) > 0 {
		c.add(field, "names are never made from events", "%q is no name of a label or an annotation: %s", name, strings.Join(wrong, "; "))
	}
	if slices.Contains(reserved(), name) {
		c.add(field, "choose a name of your own", "Salvor itself writes %s", name)
	}
}

// reserved are the labels and annotations that say where an ActionSet came from or
// ask its run for something.
func reserved() []string {
	return []string{
		salvor.LabelTrigger, salvor.LabelTriggerKey, salvor.LabelPrunes, salvor.LabelRetry,
		salvor.AnnotationEventID, salvor.AnnotationEventSource, salvor.AnnotationEventType, salvor.AnnotationTriggerUID,
		salvor.AnnotationEvents, salvor.AnnotationChain, salvor.AnnotationTraceparent, salvor.AnnotationCancel,
		salvor.AnnotationPrunes, salvor.AnnotationPruneAttempt,
	}
}

// plain checks that there is no template in x, which is anything that can be
// written as JSON.
func (c *compiler) plain(field string, x any) {
	text, err := json.Marshal(x)
	if err != nil {
		c.add(field, "", "it cannot be written as JSON: %s", err)
		return
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		c.add(field, "", "it cannot be read as JSON: %s", err)
		return
	}
	c.plainTree(field, tree)
}

func (c *compiler) plainTree(field string, x any) {
	const hint = "only values of labels, annotations and options, and spec.key, may be made from events"
	switch x := x.(type) {
	case string:
		if blueprint.IsTemplate(x) {
			c.add(field, hint, "%q is a template, and stays what is written", clip(x))
		}
	case []any:
		for i, item := range x {
			c.plainTree(fmt.Sprintf("%s[%d]", field, i), item)
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(x)) {
			if blueprint.IsTemplate(name) {
				c.add(field, hint, "%q is a template, and stays what is written", clip(name))
				continue
			}
			c.plainTree(field+"."+name, x[name])
		}
	}
}

// artifacts checks where artifacts come from.
func (c *compiler) artifacts(s *salvor.ActionTriggerSpec, out *Compiled) {
	const field = "spec.template.artifactsFrom"
	switch s.Template.ArtifactsFrom {
	case "", salvor.ArtifactsFromSpec:
		return
	case salvor.ArtifactsFromRun:
	default:
		c.oneOf(field, string(s.Template.ArtifactsFrom), string(salvor.ArtifactsFromSpec), string(salvor.ArtifactsFromRun))
		return
	}
	switch {
	case s.When.Event == nil || (len(out.filters) == len(s.When.Event.Filters) && !namesOwn(out.filters)):
		c.add(field, "select runs in when.event, for example with exact: {type: "+event.TypeRunCompleted+"}",
			"no event that the trigger waits for tells of a run, so there are no artifacts to take")
	case s.When.Schedule != nil || s.When.Kubernetes != nil:
		c.add(field, "make two triggers", "only events of when.event tell of a run; those of the other sources bring no artifacts")
	}
	for i := range s.Template.Spec.Actions {
		if len(s.Template.Spec.Actions[i].Artifacts) > 0 {
			c.add(fmt.Sprintf("spec.template.spec.actions[%d].artifacts", i), "remove them, or artifactsFrom", "with artifactsFrom: Run they would be replaced")
		}
	}
}

// namesOwn reports whether one of the filters, or one within them that is not below
// a not, names a type or a source of Salvor's own.
func namesOwn(filters []filter) bool {
	return slices.ContainsFunc(filters, func(f filter) bool {
		switch f := f.(type) {
		case *textFilter:
			return f.named
		case *sqlFilter:
			return f.named
		case allFilter:
			return namesOwn(f)
		case anyFilter:
			return namesOwn(f)
		}
		return false
	})
}

// tick tries what the trigger would do at a tick: what a tick does not have, each
// of them would lack.
func (c *compiler) tick(out *Compiled) {
	if out.schedule == nil {
		return
	}
	e := sampleTick(c.trigger)
	if _, err := out.Key(&e); err != nil {
		c.sample("spec.key", err)
		return
	}
	if _, err := out.ActionSet(&e); err != nil {
		c.sample("spec.template", err)
	}
}

func (c *compiler) sample(field string, err error) {
	text := err.Error()
	if place, rest, ok := strings.Cut(text, ": "); ok {
		field, text = place, rest
	}
	c.add(field, `the trigger has a schedule; use what ticks have, or ask first: {{ if hasKey .Event "tenant" }}…{{ end }}`,
		"it cannot be made from a tick of the schedule: %s", text)
}

// sampleTick is what a tick looks like.
func sampleTick(t *salvor.ActionTrigger) cloudevents.Event {
	at := time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)
	e, _ := NewTick(t, at, at)
	return e
}
