package kubesource

import (
	"fmt"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	corev1 "k8s.io/api/core/v1"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Annotation is the data of an event of type event.TypeAnnotation.
type Annotation struct {
	Object Object `json:"object"`
	// Key and Value of the annotation.
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Object says which object it is.
type Object struct {
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

// Occurrence is the data of an event of type event.TypeObject: a Kubernetes Event.
type Occurrence struct {
	// Object that it is about.
	Object  Object `json:"object"`
	Reason  string `json:"reason"`
	Type    string `json:"type"`
	Message string `json:"message,omitempty"`
	// Count of how often it has occurred.
	Count int64 `json:"count"`
	// Reporter is who made it.
	Reporter string `json:"reporter,omitempty"`
}

// mostText bounds the message of a Kubernetes Event, as the API server does.
const mostText = 1024

func annotationEvent(t *salvor.ActionTrigger, ch *change, now time.Time) (cloudevents.Event, error) {
	a := t.Spec.When.Kubernetes.Annotation
	return newEvent(t, event.TypeAnnotation, ch.id, now, &Annotation{
		Object: Object{APIVersion: a.APIVersion, Kind: a.Kind, Namespace: t.Namespace, Name: ch.name, UID: ch.uid},
		Key:    a.Key, Value: ch.value,
	})
}

func objectEvent(t *salvor.ActionTrigger, e *corev1.Event, o occurrence, now time.Time) (cloudevents.Event, error) {
	about := &e.InvolvedObject
	reporter := e.ReportingController
	if reporter == "" {
		reporter = e.Source.Component
	}
	return newEvent(t, event.TypeObject, o.id(), now, &Occurrence{
		Object: Object{APIVersion: about.APIVersion, Kind: about.Kind, Namespace: about.Namespace, Name: about.Name, UID: string(about.UID)},
		Reason: e.Reason, Type: e.Type, Message: strings.ToValidUTF8(e.Message[:min(len(e.Message), mostText)], ""),
		Count: o.count, Reporter: reporter,
	})
}

func newEvent(t *salvor.ActionTrigger, typ, id string, now time.Time, data any) (cloudevents.Event, error) {
	e := cloudevents.NewEvent()
	e.SetType(typ)
	e.SetSource(event.SourceKubernetes + "/" + t.Namespace + "/" + t.Name)
	e.SetSubject(string(t.UID))
	e.SetID(id)
	e.SetTime(now.UTC())
	if err := e.SetData(cloudevents.ApplicationJSON, data); err != nil {
		return e, fmt.Errorf("encode %s %s: %w", typ, id, err)
	}
	return e, nil
}
