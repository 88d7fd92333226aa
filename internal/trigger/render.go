package trigger

import (
	"errors"
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
)

const (
	// maxKey bounds a key, in bytes.
	maxKey = 1024
	// maxRendered bounds all that is rendered for one ActionSet, in bytes: the API
	// server takes 256 KiB of annotations, and etcd 1.5 MiB of an object.
	maxRendered = 256 << 10
)

// Key is the key of the event: spec.key, rendered. If the event lacks what the key
// names, an error is returned.
func (c *Compiled) Key(e *cloudevents.Event) (string, error) {
	text := c.trigger.Spec.Key
	if !blueprint.IsTemplate(text) {
		return text, nil
	}
	r := c.renderer(e)
	key := r.text("spec.key", text)
	if len(key) > maxKey && r.err == nil {
		r.err = fmt.Errorf("spec.key: the key is %d bytes long; at most %d are allowed", len(key), maxKey)
	}
	return key, r.err
}

// ActionSet is what the trigger makes of the event: its template, rendered. It has
// no name, no namespace, and nothing that says where it came from.
func (c *Compiled) ActionSet(e *cloudevents.Event) (*kanister.ActionSet, error) {
	template := c.trigger.Spec.Template.DeepCopy()
	r := c.renderer(e)
	const metadata = "spec.template.metadata."
	labels := r.values(metadata+"labels", template.Metadata.Labels)
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if wrong := validation.IsValidLabelValue(labels[name]); len(wrong) > 0 && r.err == nil {
			r.err = fmt.Errorf("%slabels[%s]: %q is no value of a label: %s", metadata, name, clip(labels[name]), strings.Join(wrong, "; "))
		}
	}
	annotations := r.values(metadata+"annotations", template.Metadata.Annotations)
	for i := range template.Spec.Actions {
		action := &template.Spec.Actions[i]
		action.Options = r.values(fmt.Sprintf("spec.template.spec.actions[%d].options", i), action.Options)
	}
	if r.err != nil {
		return nil, r.err
	}
	return &kanister.ActionSet{
		ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
		Spec:       &template.Spec,
	}, nil
}

// renderer renders the templates of one event. It stops at the first fault.
type renderer struct {
	c    *Compiled
	e    *cloudevents.Event
	data map[string]any
	left int
	err  error
}

func (c *Compiled) renderer(e *cloudevents.Event) *renderer {
	return &renderer{c: c, e: e, left: maxRendered}
}

func (r *renderer) text(field, text string) string {
	if r.err != nil || !blueprint.IsTemplate(text) {
		return text
	}
	if r.data == nil {
		r.data = map[string]any{"Event": dataOf(r.e)}
	}
	out, err := r.c.texts.get().Render(text, r.data)
	if err != nil {
		r.err = fmt.Errorf("%s: %w", field, err)
		return ""
	}
	if r.left -= len(out); r.left < 0 {
		r.err = fmt.Errorf("%s: what is made of the event is over %d bytes; take less of it", field, maxRendered)
	}
	return out
}

// values renders the values of a map in place.
func (r *renderer) values(field string, m map[string]string) map[string]string {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		m[name] = r.text(field+"["+name+"]", m[name])
	}
	return m
}

// dataOf is what templates call .Event: the attributes, and data.
func dataOf(e *cloudevents.Event) map[string]any {
	out := map[string]any{}
	for name, value := range attributesOf(e) {
		out[name] = value
	}
	if data, ok := payload(e); ok {
		out["data"] = data
	}
	return out
}

// payload is the data of an event as templates see it: decoded if it is JSON, else
// text. Of bytes that are neither they see nothing.
func payload(e *cloudevents.Event) (any, bool) {
	bytes := e.Data()
	if len(bytes) == 0 {
		return nil, false
	}
	if isJSON(e.DataContentType()) {
		var value any
		// Whole numbers stay whole: an id of a million is not 1e+06.
		if err := json.Unmarshal(bytes, &value); err == nil {
			return value, true
		}
	}
	if !utf8.Valid(bytes) {
		return nil, false
	}
	return string(bytes), true
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true // the default of the specification
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
		return false
	}
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

func clip(text string) string {
	const most = 80
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
