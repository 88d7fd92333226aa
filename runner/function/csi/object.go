package csi

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// Group is the API group of the snapshot resources.
const Group = "snapshot.storage.k8s.io"

const (
	kindSnapshot = "VolumeSnapshot"
	kindContent  = "VolumeSnapshotContent"
	kindClass    = "VolumeSnapshotClass"
)

// AnnotationJob marks what the functions make, as "<run>.<action>.<phase>".
const AnnotationJob = "salvor.io/job"

const fieldManager = "salvor"

// What is published, and some of the arguments.
const (
	outName      = "name"
	outPVC       = "pvc"
	outNamespace = "namespace"
	outSize      = "restoreSize"
	outContent   = "snapshotContent"
)

// resourceOf is the resource of a kind, in the namespace if it is not empty.
func resourceOf(call *function.Call, kind, namespace string) (dynamic.ResourceInterface, error) {
	gvk := schema.GroupVersionKind{Group: Group, Version: "v1", Kind: kind}
	mapping, err := call.Kube.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		return nil, function.Errorf(event.ReasonNotFound,
			"the cluster has no snapshots: install the custom resources of %s/v1, the snapshot-controller and a CSI driver that takes snapshots (%w)", Group, err)
	}
	if err != nil {
		return nil, function.FromAPI(err, "find the resource of %s", kind)
	}
	client := call.Kube.Dynamic.Resource(mapping.Resource)
	if namespace == "" {
		return client, nil
	}
	return client.Namespace(namespace), nil
}

// newObject is an object of the snapshot API, marked as the phase's.
func newObject(call *function.Call, kind, name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	o.SetAPIVersion(Group + "/v1")
	o.SetKind(kind)
	o.SetName(name)
	o.SetAnnotations(map[string]string{AnnotationJob: markOf(call)})
	return o
}

// markOf names the phase without its attempt.
func markOf(call *function.Call) string {
	key := call.Key.String()
	return key[:strings.LastIndexByte(key, '.')]
}

func ours(call *function.Call, o metav1.Object) bool {
	return o.GetAnnotations()[AnnotationJob] == markOf(call)
}

// named is a name that begins with the prefix and is the same for the same phase.
func named(call *function.Call, prefix string) string {
	const suffix, longest = 10, 253
	sum := sha256.Sum256([]byte(markOf(call)))
	text := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))
	return prefix[:min(len(prefix), longest-suffix)] + text[:suffix]
}

func text(o *unstructured.Unstructured, fields ...string) string {
	found, _, err := unstructured.NestedString(o.Object, fields...)
	if err != nil {
		return ""
	}
	return found
}
