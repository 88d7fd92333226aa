package emit

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"regexp"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"k8s.io/apimachinery/pkg/util/uuid"

	"github.com/salvor-io/salvor/internal/cli/app"
)

var attributeName = regexp.MustCompile(`^[a-z0-9]+$`)

// build makes the event out of the flags.
func (o *options) build(a *app.App) (cloudevents.Event, error) {
	e := cloudevents.NewEvent()
	if o.eventType == "" {
		return e, errors.New("--type is required, for example com.example.orders.batch.completed")
	}
	if o.source == "" {
		return e, errors.New("--source is required, for example /shop/orders")
	}
	id := o.id
	if id == "" {
		id = string(uuid.NewUUID())
	}
	e.SetType(o.eventType)
	e.SetSource(o.source)
	e.SetID(id)
	e.SetTime(a.Clock.Now().UTC())
	if o.subject != "" {
		e.SetSubject(o.subject)
	}
	if err := o.setExtensions(&e); err != nil {
		return e, err
	}
	if err := o.setData(a, &e); err != nil {
		return e, err
	}
	if err := e.Validate(); err != nil {
		return e, fmt.Errorf("the event is not a valid CloudEvent: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	return e, nil
}

func (o *options) setExtensions(e *cloudevents.Event) error {
	for _, text := range o.extensions {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("--extension: %q is not name=value", text)
		}
		if !attributeName.MatchString(name) {
			return fmt.Errorf("--extension: %q is not a name that CloudEvents allows: lower-case letters and digits only", name)
		}
		switch name {
		case "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data":
			return fmt.Errorf("--extension: %s is not an extension; it has a flag or a meaning of its own", name)
		}
		e.SetExtension(name, value)
	}
	return nil
}

func (o *options) setData(a *app.App, e *cloudevents.Event) error {
	if o.data == "" {
		return nil
	}
	data := []byte(o.data)
	if path, ok := strings.CutPrefix(o.data, "@"); ok {
		var err error
		if data, err = a.ReadFile(path); err != nil {
			return fmt.Errorf("--data: %w", err)
		}
	}
	media, _, err := mime.ParseMediaType(o.contentType)
	if err != nil {
		return fmt.Errorf("--data-content-type: %q is not a media type: %w", o.contentType, err)
	}
	if media != cloudevents.ApplicationJSON && !strings.HasSuffix(media, "+json") {
		return wrap(e.SetData(o.contentType, data))
	}
	if !json.Valid(data) {
		return errors.New("--data is not valid JSON; quote it, or give another --data-content-type")
	}
	// Set encoded: the SDK would write bytes as base64 in structured mode.
	if err := e.SetData(cloudevents.ApplicationJSON, json.RawMessage(data)); err != nil {
		return wrap(err)
	}
	e.SetDataContentType(o.contentType)
	return nil
}

func wrap(err error) error {
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	return nil
}
