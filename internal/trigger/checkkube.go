package trigger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// kubernetes checks what is watched for.
func (c *compiler) kubernetes(k *salvor.KubernetesSource) {
	const base = "spec.when.kubernetes"
	if k.Annotation == nil && k.Event == nil {
		c.add(base, "set annotation or event", "it is empty")
	}
	if a := k.Annotation; a != nil {
		c.annotation(base+".annotation", a)
	}
	if k.Event == nil {
		return
	}
	if len(k.Event.Reasons) == 0 {
		c.add(base+".event.reasons", "name at least one, such as BackupRequested", "it is empty")
	}
	if i := slices.Index(k.Event.Reasons, ""); i >= 0 {
		c.add(fmt.Sprintf("%s.event.reasons[%d]", base, i), "name a reason or remove it", "it is empty")
	}
	if typ := k.Event.Type; typ != "" && typ != "Normal" && typ != "Warning" {
		c.oneOf(base+".event.type", typ, "Normal", "Warning")
	}
}

func (c *compiler) annotation(field string, a *salvor.AnnotationSource) {
	if version, err := schema.ParseGroupVersion(a.APIVersion); err != nil || version.Version == "" {
		c.add(field+".apiVersion", "write it as in the object, such as apps/v1", "%q is no apiVersion", a.APIVersion)
	}
	if a.Kind == "" {
		c.add(field+".kind", "write it as in the object, such as StatefulSet", "it is empty")
	}
	if wrong := validation.IsQualifiedName(a.Key); len(wrong) > 0 {
		c.add(field+".key", "", "%q is no name of an annotation: %s", a.Key, strings.Join(wrong, "; "))
	}
	if _, err := metav1.LabelSelectorAsSelector(a.Selector); err != nil {
		c.add(field+".selector", "", "%s", err)
	}
}

// keep checks the retention.
func (c *compiler) keep(s *salvor.ActionTriggerSpec) {
	const base = "spec.keep"
	k := s.Keep
	if k == nil {
		return
	}
	counts := []struct {
		name  string
		value *int32
	}{
		{"count", k.Count},
		{"hourly", k.Hourly},
		{"daily", k.Daily},
		{"weekly", k.Weekly},
		{"monthly", k.Monthly},
		{"yearly", k.Yearly},
		{"failed", k.Failed},
	}
	rules := 0
	for _, n := range counts {
		if n.value == nil {
			continue
		}
		if *n.value < 1 {
			c.add(base+"."+n.name, "use 1 or more, or remove it", "%d cannot be kept", *n.value)
		}
		rules++
	}
	before := len(c.problems)
	if k.Within != "" {
		rules++
		if c.duration(base+".within", k.Within, 0) == 0 && len(c.problems) == before {
			c.add(base+".within", "use a length of time, such as 168h", "nothing is younger than that")
		}
	}
	if rules == 0 {
		c.add(base, "set count, within, hourly, daily, weekly, monthly, yearly or failed", "no rule says which ActionSets stay")
	}
	if k.TimeZone != "" {
		c.zone(base+".timeZone", k.TimeZone)
	}
}

// zone loads a time zone; "" is UTC.
func (c *compiler) zone(field, name string) *time.Location {
	if name == "Local" || strings.TrimSpace(name) != name {
		c.add(field, "use a name of the IANA database, such as Europe/Berlin", "%q is no time zone", name)
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		c.add(field, "use a name of the IANA database, such as Europe/Berlin", "there is no time zone %q", name)
		return nil
	}
	return zone
}
