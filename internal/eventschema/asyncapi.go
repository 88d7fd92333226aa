package eventschema

import (
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/api/event"
)

// object is a JSON object.
type object = map[string]any

const (
	warning = "# Generated from internal/eventschema by `make generate`. Do not edit.\n"
	// version is that of the events' contract, not of the program.
	version = "1.0.0"
)

func ref(parts ...string) object { return object{"$ref": "#/" + strings.Join(parts, "/")} }

// asyncAPI describes the ways of events, as AsyncAPI 3.
func asyncAPI(entries []entry) ([]byte, error) {
	messages, lifecycle, channels := object{}, object{}, object{}
	operations := object{}
	for i := range entries {
		e := &entries[i]
		name := shortName(e.ceType)
		messages[name] = message(e)
		channels[name] = object{
			"title": e.title, "description": e.about,
			"address":    "salvor.events.{namespace}." + e.ceType,
			"servers":    []any{ref("servers", "nats")},
			"messages":   object{name: ref("components", "messages", name)},
			"parameters": object{"namespace": ref("components", "parameters", "namespace")},
		}
		operations["tell"+upperFirst(name)] = operation("send", name, "Salvor puts the event on the stream "+event.StreamEvents+".")
		if e.lifecycle {
			lifecycle[name] = ref("components", "messages", name)
		}
	}
	channels["sink"] = object{
		"title": "HTTP sink", "address": nil, "messages": lifecycle,
		"description": "The address of --sink or K_SINK. A POST in the binary content mode of CloudEvents for each event, at least once, " +
			"those of one run in order. 2xx takes it; 408, 429 and 5xx have it tried again (Retry-After counts); anything else makes it a dead letter.",
	}
	channels["feed"] = object{
		"title": "Feed", "address": "/lifecycle/{namespace}", "servers": []any{ref("servers", "bridge")}, "messages": lifecycle,
		"parameters": object{"namespace": ref("components", "parameters", "namespace")},
		"description": "GET; /lifecycle alone is of all namespaces. The answer is NDJSON, a CloudEvent in the JSON format per line. " +
			"Parameters: since, after, type, follow.",
	}
	channels["ingress"] = object{
		"title": "Event endpoint", "address": "/events/{namespace}", "servers": []any{ref("servers", "bridge")},
		"messages":    object{"cloudEvent": ref("components", "messages", "cloudEvent")},
		"parameters":  object{"namespace": ref("components", "parameters", "namespace")},
		"description": "POST in the binary, structured or batched content mode; /events alone is for the triggers of all namespaces. 202 says that the events are stored.",
	}
	messages["cloudEvent"] = object{
		"name": "cloudEvent", "title": "Any CloudEvent", "summary": "An event of an application, for ActionTriggers. Its attributes and data are what they filter.",
		"headers": object{"type": "object", "required": []any{"ce-specversion", "ce-id", "ce-source", "ce-type"}, "properties": object{
			"ce-specversion": object{"const": "1.0"}, "ce-id": object{"type": "string"}, "ce-source": object{"type": "string"}, "ce-type": object{"type": "string"},
		}},
		"payload": object{"description": "Whatever the application sends."},
	}
	operations["deliverToSink"] = operation("send", "sink", "The bridge posts lifecycle events to every sink.")
	operations["showFeed"] = operation("send", "feed", "The bridge shows lifecycle events to who asks and may watch ActionSets.")
	operations["acceptEvent"] = operation("receive", "ingress", "The bridge takes events of applications.")
	content, err := yaml.Marshal(object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "Salvor's events", "version": version,
			"license":     object{"name": "Apache-2.0"},
			"description": "The CloudEvents that Salvor takes and tells. Every message is a CloudEvent 1.0; attributes are ce- headers in the binary content mode.",
		},
		"defaultContentType": "application/json",
		"servers": object{
			"nats":   object{"host": "salvor-nats.salvor.svc:4222", "protocol": "nats", "description": "The broker, if it serves others (--nats-listen), with JetStream."},
			"bridge": object{"host": "salvor.salvor.svc:8080", "protocol": "http", "description": "The bridge (--listen)."},
		},
		"channels":   channels,
		"operations": operations,
		"components": object{
			"messages":   messages,
			"parameters": object{"namespace": object{"description": "Namespace of the ActionSet, or to which the event is addressed."}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", document, err)
	}
	return append([]byte(warning), content...), nil
}

func operation(action, channel, summary string) object {
	return object{"action": action, "channel": ref("channels", channel), "summary": summary}
}

func message(e *entry) object {
	headers := object{
		"ce-specversion": object{"const": "1.0"},
		"ce-type":        object{"const": e.ceType},
		"ce-source":      object{"type": "string", "description": e.source},
		"ce-subject":     object{"type": "string", "description": e.subject},
		"ce-id":          object{"type": "string", "description": "The same whenever the same thing is told."},
		"ce-time":        object{"type": "string", "format": "date-time", "description": "When it happened."},
	}
	if e.lifecycle {
		for name, about := range map[string]string{
			event.ExtTraceparent: "W3C trace context of the run.",
			event.ExtChain:       "UIDs of the ActionTriggers that led to the run, oldest first.",
			event.ExtTrigger:     "Name of the ActionTrigger that made the ActionSet.",
			event.ExtPrunes:      "ActionSet whose data the run removes, by the retention of a trigger.",
			event.ExtAction:      "Name of the action; of a run, that of the first.",
			event.ExtBlueprint:   "Blueprint of that action.",
		} {
			headers["ce-"+name] = object{"type": "string", "description": about}
		}
	}
	return object{
		"name": e.ceType, "title": e.title, "summary": e.about, "contentType": "application/json",
		"headers": object{"type": "object", "required": []any{"ce-specversion", "ce-type", "ce-source", "ce-subject", "ce-id", "ce-time"}, "properties": headers},
		"payload": object{
			"schemaFormat": "application/schema+json;version=draft-2020-12",
			"schema":       object{"$ref": "../" + schemaFolder + "/" + e.ceType + ".json"},
		},
	}
}

// shortName is the type as one word: io.salvor.run.failed.v1 is runFailedV1.
func shortName(ceType string) string {
	words := strings.Split(strings.TrimPrefix(ceType, "io.salvor."), ".")
	for i := 1; i < len(words); i++ {
		words[i] = upperFirst(words[i])
	}
	return strings.Join(words, "")
}

func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
