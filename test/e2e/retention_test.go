//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/test/harness"
)

const (
	retentionNamespace = "e2e-retention"
	retentionTrigger   = "keep-two"
)

// retentionManifests: a backup is one object in the bucket, named after the event. Its
// delete action is written as Kanister's own are, for a namespace.
const retentionManifests = `
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: objects, namespace: "{ns}"}
actions:
  backup:
    outputArtifacts: {object: {keyValue: {path: '{{ .Phases.push.Output.path }}'}}}
    phases:
    - func: KubeTask
      name: push
      args:
        namespace: '{{ .Object.metadata.namespace }}'
        image: ghcr.io/salvor-io/postgres-tools:dev
        command:
        - bash
        - -ec
        - |
          path='kept/{{ .Options.event }}'
          echo 'the data of {{ .Options.event }}' | kando location push --profile '{{ toJson .Profile }}' --path "$path" -
          kando output path "$path"
  delete:
    inputArtifactNames: [object]
    phases:
    - func: KubeTask
      name: remove
      args:
        namespace: '{{ .Namespace.Name }}'
        image: ghcr.io/salvor-io/postgres-tools:dev
        command:
        - bash
        - -ec
        - kando location delete --profile '{{ toJson .Profile }}' --path '{{ .ArtifactsIn.object.KeyValue.path }}'
---
apiVersion: v1
kind: ConfigMap
metadata: {name: application, namespace: "{ns}"}
---
apiVersion: salvor.io/v1alpha1
kind: ActionTrigger
metadata: {name: keep-two, namespace: "{ns}"}
spec:
  when: {event: {filters: [{exact: {type: com.example.data.changed}}]}}
  keep: {count: 2}
  template:
    spec:
      actions:
      - name: backup
        blueprint: objects
        object: {apiVersion: v1, group: "", resource: configmaps, name: application, namespace: "{ns}"}
        profile: {name: s3-profile, namespace: "{ns}"}
        options: {event: "{{ .Event.id }}"}
`

// TestRetentionOnS3 makes five backups by events, of which two are kept: the bucket
// then holds exactly what the two ActionSets tell of. A deletion that fails leaves
// its backup, data and ActionSet, and is told.
func TestRetentionOnS3(t *testing.T) {
	t.Parallel()
	const ns = retentionNamespace
	address, stop, err := suite.tools.Forward(t.Context(), "s3", "s3", 7070)
	require.NoError(t, err)
	t.Cleanup(stop)
	bucket, err := harness.OpenBucket(t.Context(), "http://"+address, "demo-access-key", "demo-secret-key-not-a-secret", "retention")
	require.NoError(t, err)
	require.NoError(t, bucket.Empty(t.Context()))
	apply(t, ns, strings.ReplaceAll(kanisterProfile, "{bucket}", "retention"))
	apply(t, ns, retentionManifests)
	retentionCondition(t, "Keeping")

	for i := range 5 {
		keepAnother(t, fmt.Sprintf("change-%d", i+1))
	}
	retained(t, bucket, "kept/change-4", "kept/change-5")

	// The action breaks: what should have gone stays whole.
	_, err = suite.clients.Blueprints(ns).Patch(t.Context(), "objects", types.MergePatchType,
		[]byte(`{"actions":{"delete":{"phases":[{"func":"KubeTask","name":"breaks","args":{"namespace":"{{ .Namespace.Name }}","image":"busybox","command":["sh","-c","echo the bucket is away; exit 3"]}}]}}}`),
		metav1.PatchOptions{})
	require.NoError(t, err)
	keepAnother(t, "change-6")
	condition := retentionCondition(t, "PruneFailed")
	t.Logf("the condition: %s", condition.Message)
	assert.Contains(t, condition.Message, "the bucket is away")
	retained(t, bucket, "kept/change-4", "kept/change-5", "kept/change-6")
}

// keepAnother sends an event and waits for the backup that follows from it.
func keepAnother(t *testing.T, id string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, suite.events+retentionNamespace, strings.NewReader("{}"))
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": id, "ce-source": "/e2e", "ce-type": "com.example.data.changed",
	} {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusAccepted, response.StatusCode)
	var name string
	require.Eventually(t, func() bool {
		for _, as := range madeByRetentionTrigger(t) {
			if as.Annotations[salvor.AnnotationEventID] == id {
				name = as.Name
			}
		}
		return name != ""
	}, patience, 100*time.Millisecond, "event %s starts a backup", id)
	complete(t, retentionNamespace, name)
}

func madeByRetentionTrigger(t *testing.T) []kanister.ActionSet {
	t.Helper()
	list, err := suite.clients.ActionSets(retentionNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: salvor.LabelTrigger + "=" + retentionTrigger})
	if err != nil { // not the end of the test: this is a condition that is waited for
		t.Log(err)
		return nil
	}
	return list.Items
}

// retained waits until the bucket holds these objects and no others, and looks whether
// the ActionSets tell of the same.
func retained(t *testing.T, bucket *harness.Bucket, want ...string) {
	t.Helper()
	var stored, told []string
	require.Eventually(t, func() bool {
		stored, told = nil, nil
		objects, err := bucket.List(t.Context(), "")
		if err != nil {
			return false
		}
		for _, o := range objects {
			stored = append(stored, o.Key)
		}
		for _, as := range madeByRetentionTrigger(t) {
			if as.Status != nil && len(as.Status.Actions) > 0 {
				told = append(told, as.Status.Actions[0].Artifacts["object"].KeyValue["path"])
			}
		}
		slices.Sort(stored)
		slices.Sort(told)
		list, err := suite.clients.ActionSets(retentionNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: salvor.LabelPrunes})
		if err != nil || slices.ContainsFunc(list.Items, func(as kanister.ActionSet) bool {
			return as.Status != nil && as.Status.State == kanister.StateComplete
		}) {
			return false // what did its work goes too
		}
		return slices.Equal(want, stored) && slices.Equal(want, told)
	}, patience, 250*time.Millisecond, "the bucket and the ActionSets have %v", want)
	t.Logf("in the bucket: %v; ActionSets tell of: %v", stored, told)
}

func retentionCondition(t *testing.T, reason string) *metav1.Condition {
	t.Helper()
	var found *metav1.Condition
	require.Eventually(t, func() bool {
		trigger, err := suite.clients.ActionTriggers(retentionNamespace).Get(t.Context(), retentionTrigger, metav1.GetOptions{})
		if err != nil {
			return false
		}
		found = meta.FindStatusCondition(trigger.Status.Conditions, "Retention")
		return found != nil && found.Reason == reason
	}, patience, 250*time.Millisecond, "the condition Retention of the trigger says %s", reason)
	return found
}
