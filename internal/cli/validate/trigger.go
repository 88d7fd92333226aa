package validate

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/trigger"
)

// shownTicks is how many of the next ticks are shown.
const shownTicks = 3

func (o *options) trigger(ctx context.Context) error {
	t := &salvor.ActionTrigger{}
	if err := o.read(salvor.GroupVersion.WithKind("ActionTrigger"), t, func() (err error) {
		clients, err := o.app.Kube.Clients()
		if err != nil {
			return err
		}
		t, err = clients.ActionTriggers(o.namespace).Get(ctx, o.name, metav1.GetOptions{})
		return err // read says what
	}); err != nil {
		return err
	}
	if t.Namespace == "" {
		t.Namespace = o.namespace // the jitter depends on it
	}
	compiled, err := trigger.Compile(t)
	var texts []string
	for _, problem := range trigger.Check(t) {
		texts = append(texts, problem.Error())
	}
	if err == nil {
		o.ticks(t, compiled.Schedule())
	}
	return o.verdict("trigger "+t.Name, texts)
}

// ticks shows when the schedule fires next, so that a mistake in the expression is
// seen.
func (o *options) ticks(t *salvor.ActionTrigger, s *trigger.Schedule) {
	if s == nil {
		return
	}
	zone, err := time.LoadLocation(t.Spec.When.Schedule.TimeZone)
	if err != nil {
		return // Check has said so
	}
	share := ""
	if offset := s.Offset(); offset > 0 {
		share = fmt.Sprintf(", %s after the tick: its share of the jitter in namespace %s", offset, t.Namespace)
	}
	tick := o.app.Clock.Now().Add(-s.Offset())
	for range shownTicks {
		if tick = s.Next(tick); tick.IsZero() {
			return
		}
		o.app.Printf("trigger %s: fires at %s%s\n", t.Name, tick.Add(s.Offset()).In(zone).Format(time.RFC1123Z), share)
	}
}
