package kubefile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/salvor-io/salvor/internal/kube"
)

// Clients returns clients that read from the store, and what it has not from the
// cluster of config; a nil config means that there is no cluster. They can change
// nothing.
func (s *Store) Clients(config *rest.Config) (*kube.Clients, error) {
	if config == nil {
		config = &rest.Config{Host: "http://files.invalid", Transport: &transport{store: s}}
	} else {
		config = rest.CopyConfig(config)
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &transport{store: s, next: next} })
	}
	// What is masked has to be read.
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	clients, err := kube.New(config)
	if err != nil {
		return nil, fmt.Errorf("clients of the files: %w", err)
	}
	return clients, nil
}

// transport answers requests.
type transport struct {
	store *Store
	// mu guards store.
	mu sync.Mutex
	// next asks the cluster; nil when there is none.
	next http.RoundTripper
}

// errReadOnly is the answer to whatever is no read.
var errReadOnly = errors.New("render changes nothing: it only reads")

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return answer(r, http.StatusForbidden, failure(http.StatusForbidden, metav1.StatusReasonForbidden, errReadOnly.Error()))
	}
	at, isObject := parse(r.URL.Path)
	if isObject && at.name != "" {
		if response, err := t.given(r, at); response != nil || err != nil {
			return response, err
		}
	}
	if t.next != nil {
		response, err := t.next.RoundTrip(r)
		if err != nil || at.gvr.Group != "" || at.gvr.Resource != "secrets" {
			return response, err
		}
		return masked(r, response)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if found := t.store.discovery(r.URL.Path); found != nil {
		return answer(r, http.StatusOK, found)
	}
	if isObject && at.name == "" {
		return t.list(r, at)
	}
	return answer(r, http.StatusNotFound, failure(http.StatusNotFound, metav1.StatusReasonNotFound, notGiven(at)))
}

// given answers with an object of the store, with nothing when it has none.
func (t *transport) given(r *http.Request, at place) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if object := t.store.get(at); object != nil {
		return answer(r, http.StatusOK, object.Object)
	}
	return nil, nil //nolint:nilnil // not given is a normal case
}

func notGiven(at place) string {
	name := at.name
	if at.namespace != "" {
		name = at.namespace + "/" + name
	}
	return fmt.Sprintf("%s %q is in none of the files", at.gvr.Resource, name)
}

func (t *transport) list(r *http.Request, at place) (*http.Response, error) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		return answer(r, http.StatusBadRequest, failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error()))
	}
	kind := ""
	for gvk, known := range t.store.kinds {
		if gvk.GroupVersion() == at.gvr.GroupVersion() && known.name == at.gvr.Resource {
			kind = gvk.Kind
		}
	}
	if kind == "" {
		return answer(r, http.StatusNotFound, failure(http.StatusNotFound, metav1.StatusReasonNotFound, "the files hold no "+at.gvr.Resource))
	}
	items := []any{}
	for _, object := range t.store.All(at.gvr.GroupVersion().WithKind(kind)) {
		if (at.namespace == "" || object.GetNamespace() == at.namespace) && selector.Matches(labels.Set(object.GetLabels())) {
			items = append(items, object.Object)
		}
	}
	return answer(r, http.StatusOK, map[string]any{
		"apiVersion": at.gvr.GroupVersion().String(), "kind": kind + "List", "metadata": map[string]any{}, "items": items,
	})
}

// parse finds what a path means. It is false for discovery.
func parse(path string) (place, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var at place
	switch {
	case len(parts) > 2 && parts[0] == "api":
		at.gvr.Version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		at.gvr.Group, at.gvr.Version, parts = parts[1], parts[2], parts[3:]
	default:
		return place{}, false
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		at.namespace, parts = parts[1], parts[2:]
	}
	at.gvr.Resource = parts[0]
	switch len(parts) {
	case 1:
	case 2:
		at.name = parts[1]
	default:
		return place{}, false // a subresource
	}
	return at, true
}

// masked is the cluster's answer with no value of a Secret in it.
func masked(r *http.Request, response *http.Response) (*http.Response, error) {
	if response.StatusCode != http.StatusOK {
		return response, nil
	}
	data, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, errors.New("the answer that holds Secrets is not JSON, so its values cannot be masked")
	}
	mask(object)
	if items, ok := object["items"].([]any); ok {
		for _, item := range items {
			if secret, ok := item.(map[string]any); ok {
				mask(secret)
			}
		}
	}
	return answer(r, http.StatusOK, object)
}

func failure(code int32, reason metav1.StatusReason, message string) metav1.Status {
	return metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: code, Reason: reason, Message: message,
	}
}

func answer(r *http.Request, code int, body any) (*http.Response, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encode the answer: %w", err)
	}
	return &http.Response{
		StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {runtime.ContentTypeJSON}}, Request: r,
		Body: io.NopCloser(bytes.NewReader(data)), ContentLength: int64(len(data)),
	}, nil
}
