package retention

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/trigger"
)

// pageSize is how many ActionSets are read at a time: they may be large.
const pageSize = 100

// each calls f for every ActionSet of a namespace that the selector matches, a page
// at a time. f must not keep what it is given.
func (c *Controller) each(ctx context.Context, namespace, selector string, f func(*kanister.ActionSet)) error {
	o := metav1.ListOptions{LabelSelector: selector, Limit: pageSize}
	for {
		page, err := c.ActionSets(namespace).List(ctx, o)
		if err != nil {
			return fmt.Errorf("list the ActionSets of namespace %s: %w", namespace, err)
		}
		for i := range page.Items {
			f(&page.Items[i])
		}
		if page.Continue == "" {
			return nil
		}
		o.Continue = page.Continue
	}
}

// pruning are the ActionSets of a namespace that remove data, by the UID of the
// trigger that they do it for.
func (c *Controller) pruning(ctx context.Context, namespace string) (map[string][]seen, error) {
	out := map[string][]seen{}
	err := c.each(ctx, namespace, salvor.LabelPrunes, func(as *kanister.ActionSet) {
		s := look(as)
		if s.ofUID == "" || s.trigger == "" {
			return // not of ours
		}
		if s.state == bad {
			s.marks = uses(as) // what it should have removed
		}
		out[s.trigger] = append(out[s.trigger], s)
	})
	return out, err
}

// made are the ActionSets that the trigger made, and those that are being pruned for
// it, even if their labels were changed since.
func (c *Controller) made(ctx context.Context, namespace string, t *salvor.ActionTrigger, pruning []seen) ([]seen, error) {
	var out []seen
	known := map[string]bool{}
	if t != nil {
		err := c.each(ctx, namespace, salvor.LabelTrigger+"="+trigger.LabelValue(t.Name), func(as *kanister.ActionSet) {
			if as.Annotations[salvor.AnnotationTriggerUID] != string(t.UID) || as.Labels[salvor.LabelPrunes] != "" {
				return
			}
			known[string(as.UID)] = true
			out = append(out, look(as))
		})
		if err != nil {
			return nil, err
		}
	}
	for i := range pruning {
		p := &pruning[i]
		if known[p.ofUID] {
			continue
		}
		as, err := c.ActionSets(namespace).Get(ctx, p.of, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && string(as.UID) != p.ofUID:
		case err != nil:
			return nil, fmt.Errorf("look at ActionSet %s/%s: %w", namespace, p.of, err)
		default:
			known[p.ofUID] = true
			out = append(out, look(as))
		}
	}
	return out, nil
}

// others reads who else has to do with the artifacts of the wanted steps. It also sees
// who uses them now, of which the informer may not know yet.
func (c *Controller) others(ctx context.Context, namespace string, wanted []step, pruning map[string][]seen) (others, error) {
	out := others{holders: map[mark][]holder{}, users: map[mark]string{}}
	for i := range wanted {
		for _, m := range append(wanted[i].backup.marks, wanted[i].prune.marks...) {
			out.holders[m] = nil
		}
	}
	pruned := map[string]bool{}
	for _, all := range pruning {
		for i := range all {
			pruned[all[i].ofUID] = true
		}
	}
	err := c.each(ctx, namespace, "", func(as *kanister.ActionSet) {
		h := holder{seen: look(as), pruned: pruned[string(as.UID)]}
		for _, m := range h.marks {
			if _, ok := out.holders[m]; ok {
				out.holders[m] = append(out.holders[m], h)
			}
		}
		if h.state != open || as.Labels[salvor.LabelPrunes] != "" {
			return
		}
		for _, m := range uses(as) {
			if _, ok := out.holders[m]; ok {
				out.users[m] = as.Name
			}
		}
	})
	return out, err
}

// inUse are the artifacts that ActionSets which have not ended use. It is no matter
// in which namespace they are: a restore may be made anywhere.
func (c *Controller) inUse() map[mark]string {
	out := map[mark]string{}
	for _, as := range c.Unfinished() {
		// One of ours removes what it names; a backup that it is about is spoken for.
		if as.Spec == nil || as.Labels[salvor.LabelPrunes] != "" {
			continue
		}
		for _, m := range uses(as) {
			out[m] = as.Namespace + "/" + as.Name
		}
	}
	return out
}

// uses are the artifacts that an ActionSet is given.
func uses(as *kanister.ActionSet) []mark {
	var marks []mark
	if as.Spec == nil {
		return nil
	}
	for i := range as.Spec.Actions {
		marks = append(marks, marksOf(as.Spec.Actions[i].Artifacts)...)
	}
	return marks
}

// zoneOf is the time zone in which the trigger's days begin.
func zoneOf(t *salvor.ActionTrigger) (*time.Location, error) {
	name := t.Spec.Keep.TimeZone
	if name == "" && t.Spec.When.Schedule != nil {
		name = t.Spec.When.Schedule.TimeZone
	}
	if strings.EqualFold(name, "local") {
		return nil, fmt.Errorf("spec.keep.timeZone: %q is not a name of the IANA database, such as Europe/Berlin", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("spec.keep.timeZone: %q is not a name of the IANA database, such as Europe/Berlin: %w", name, err)
	}
	return zone, nil
}
