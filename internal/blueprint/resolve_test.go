package blueprint

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

var update = flag.Bool("update", false, "write golden files")

// Params go from dispatcher to runner: their wire form is a contract.
func TestParamsGolden(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	p, err := Resolve(t.Context(), c, appInput())
	require.NoError(t, err)
	got, err := json.MarshalIndent(p, "", "  ")
	require.NoError(t, err)
	assert.NotContains(t, string(got), canary)
	assert.NotContains(t, string(got), "managedFields")
	const golden = "testdata/params.json"
	if *update {
		require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSpace(string(want)), string(got))
}

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  namespace: app
  annotations: {deployment.kubernetes.io/revision: "2"}
spec: {selector: {matchLabels: {app: web}}}
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-old
  namespace: app
  labels: {app: web}
  annotations: {deployment.kubernetes.io/revision: "1"}
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: uid-web}]
---
apiVersion: apps/v1
kind: ReplicaSet
metadata:
  name: web-new
  namespace: app
  labels: {app: web}
  annotations: {deployment.kubernetes.io/revision: "2"}
  ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: uid-web}]
---
apiVersion: v1
kind: Pod
metadata: {name: old, namespace: app, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-old, uid: uid-web-old}]}
status: {phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: new-b, namespace: app, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-new, uid: uid-web-new}]}
spec: {containers: [{name: c}]}
status: {phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: new-a, namespace: app, labels: {app: web}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-new, uid: uid-web-new}]}
spec: {containers: [{name: c}]}
status: {phase: Running}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: fresh, namespace: app}
spec: {selector: {matchLabels: {app: fresh}}}
`

const others = `
apiVersion: apps.openshift.io/v1
kind: DeploymentConfig
metadata: {name: dc, namespace: app}
status: {latestVersion: 3}
---
apiVersion: v1
kind: ReplicationController
metadata:
  name: dc-3
  namespace: app
  annotations: {openshift.io/deployment-config.latest-version: "3"}
  ownerReferences: [{apiVersion: apps.openshift.io/v1, kind: DeploymentConfig, name: dc, uid: uid-dc}]
spec: {selector: {dc: dc}}
---
apiVersion: v1
kind: Pod
metadata: {name: dc-3-x, namespace: app, labels: {dc: dc}, ownerReferences: [{apiVersion: v1, kind: ReplicationController, name: dc-3, uid: uid-dc-3}]}
status: {phase: Running, containerStatuses: [{name: c}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: claim, namespace: app}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: v1
kind: Pod
metadata: {name: single, namespace: app}
---
apiVersion: elasticsearch.k8s.elastic.co/v1
kind: Elasticsearch
metadata: {name: es, namespace: app}
spec: {nodeSets: [{name: default, count: 3}]}
`

func objectInput(ref kanister.ObjectReference) ResolveInput {
	return ResolveInput{Namespace: "app", Now: now, Field: "spec.actions[0]", Spec: kanister.ActionSpec{Name: "backup", Object: ref}}
}

func TestResolveDeployments(t *testing.T) {
	_, c := newAPI(t, deployment, others)
	p := resolved(t, c, objectInput(kanister.ObjectReference{Kind: "deployment", Name: "web"}))
	assert.Equal(t, []string{"new-a", "new-b"}, p.Deployment.Pods)
	assert.Equal(t, [][]string{{"c"}, {"c"}}, p.Deployment.Containers)
	assert.Equal(t, kanister.ObjectReference{Kind: "Deployment", Group: "apps", APIVersion: "v1", Resource: "deployments", Name: "web", Namespace: "app"}, p.ObjectRef)
	assert.Nil(t, p.StatefulSet)

	p = resolved(t, c, objectInput(kanister.ObjectReference{Kind: "Deployment", Name: "fresh", Namespace: "app"}))
	assert.Empty(t, p.Deployment.Pods, "the controller has not made a ReplicaSet yet")

	p = resolved(t, c, objectInput(kanister.ObjectReference{Kind: "DeploymentConfig", Name: "dc", Namespace: "app"}))
	assert.Equal(t, []string{"dc-3-x"}, p.DeploymentConfig.Pods)
	assert.Equal(t, "dc", p.DeploymentConfig.Name)
}

func TestResolveOtherObjects(t *testing.T) {
	_, c := newAPI(t, app, others)
	p := resolved(t, c, objectInput(kanister.ObjectReference{Kind: "PVC", Name: "claim"}))
	assert.Equal(t, &Named{Name: "claim", Namespace: "app"}, p.PVC)

	// Both names are the reference's namespace.
	p = resolved(t, c, objectInput(kanister.ObjectReference{Kind: "Namespace", Name: "app", Namespace: "other"}))
	assert.Equal(t, &Named{Name: "other", Namespace: "other"}, p.TargetNamespace)
	assert.Equal(t, "app", p.Object["metadata"].(map[string]any)["name"])
	p = resolved(t, c, objectInput(kanister.ObjectReference{Kind: "namespace", Name: "app"}))
	assert.Equal(t, &Named{Name: "app", Namespace: "app"}, p.TargetNamespace)

	for name, tc := range map[string]struct {
		ref  kanister.ObjectReference
		want kanister.ObjectReference
	}{
		"group, version and resource": {
			kanister.ObjectReference{Group: "elasticsearch.k8s.elastic.co", APIVersion: "v1", Resource: "elasticsearches", Name: "es", Namespace: "app"},
			kanister.ObjectReference{Group: "elasticsearch.k8s.elastic.co", APIVersion: "v1", Resource: "elasticsearches", Kind: "Elasticsearch", Name: "es", Namespace: "app"},
		},
		"group in apiVersion": {
			kanister.ObjectReference{APIVersion: "elasticsearch.k8s.elastic.co/v1", Kind: "Elasticsearch", Name: "es"},
			kanister.ObjectReference{Group: "elasticsearch.k8s.elastic.co", APIVersion: "v1", Resource: "elasticsearches", Kind: "Elasticsearch", Name: "es", Namespace: "app"},
		},
		"core group": {
			kanister.ObjectReference{APIVersion: "v1", Resource: "pods", Name: "single"},
			kanister.ObjectReference{APIVersion: "v1", Resource: "pods", Kind: "Pod", Name: "single", Namespace: "app"},
		},
		"core group without a version": {
			kanister.ObjectReference{Resource: "pods", Name: "single"},
			kanister.ObjectReference{APIVersion: "v1", Resource: "pods", Kind: "Pod", Name: "single", Namespace: "app"},
		},
		"of the cluster": {
			kanister.ObjectReference{APIVersion: "v1", Resource: "nodes", Name: "n1", Namespace: "ignored"},
			kanister.ObjectReference{APIVersion: "v1", Resource: "nodes", Kind: "Node", Name: "n1"},
		},
		"kind alone": {
			kanister.ObjectReference{Kind: "ConfigMap", Name: "settings"},
			kanister.ObjectReference{APIVersion: "v1", Resource: "configmaps", Kind: "ConfigMap", Name: "settings", Namespace: "app"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := resolved(t, c, objectInput(tc.ref))
			assert.Equal(t, tc.want, p.ObjectRef)
			assert.Equal(t, tc.want.Name, p.Object["metadata"].(map[string]any)["name"])
		})
	}
	p = resolved(t, c, objectInput(kanister.ObjectReference{Kind: "elasticsearch", Name: "es"}))
	assert.Equal(t, int64(3), p.Object["spec"].(map[string]any)["nodeSets"].([]any)[0].(map[string]any)["count"], "whole numbers stay whole")
}

func TestResolveErrorsNameTheField(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(in *ResolveInput, a *api)
		want   string
		reason event.Reason
	}{
		"no such object": {func(in *ResolveInput, _ *api) { in.Spec.Object.Name = "nope" },
			`spec.actions[0].object: StatefulSet "app/nope" does not exist; create it, or correct the reference`, event.ReasonNotFound},
		"no object": {func(in *ResolveInput, _ *api) { in.Spec.Object = kanister.ObjectReference{} },
			`spec.actions[0].object: neither kind nor resource is given`, event.ReasonInvalid},
		"object without a name": {func(in *ResolveInput, _ *api) { in.Spec.Object.Name = "" },
			`spec.actions[0].object.name: is empty`, event.ReasonInvalid},
		"no such resource": {func(in *ResolveInput, _ *api) {
			in.Spec.Object = kanister.ObjectReference{Group: "g.example", APIVersion: "v1", Resource: "things", Name: "x"}
		}, `spec.actions[0].object: the cluster has no resource "things" in g.example/v1; install its CustomResourceDefinition`, event.ReasonNotFound},
		"no such secret": {func(in *ResolveInput, _ *api) { in.Spec.Secrets["aws"] = kanister.ObjectReference{Name: "nope", Namespace: "else"} },
			`spec.actions[0].secrets.aws: Secret "else/nope" does not exist`, event.ReasonNotFound},
		"no such config map": {func(in *ResolveInput, _ *api) { in.Spec.ConfigMaps["location"] = kanister.ObjectReference{Name: "nope"} },
			`spec.actions[0].configMaps.location: ConfigMap "app/nope" does not exist`, event.ReasonNotFound},
		"secret without a name": {func(in *ResolveInput, _ *api) { in.Spec.Secrets["aws"] = kanister.ObjectReference{} },
			`spec.actions[0].secrets.aws.name: is empty`, event.ReasonInvalid},
		"forbidden secret": {func(_ *ResolveInput, a *api) { a.forbidden["/api/v1/namespaces/app/secrets/aws"] = true },
			`spec.actions[0].secrets.aws: Secret "app/aws" may not be read; let Salvor's service account get and list it`, event.ReasonForbidden},
		"forbidden pods": {func(_ *ResolveInput, a *api) { a.forbidden["/api/v1/namespaces/app/pods"] = true },
			`spec.actions[0].object: the pods in namespace "app" may not be read`, event.ReasonForbidden},
		"no such profile": {func(in *ResolveInput, _ *api) { in.Spec.Profile.Name = "nope" },
			`spec.actions[0].profile: Profile "app/nope" does not exist`, event.ReasonNotFound},
		"profile's secret": {func(_ *ResolveInput, a *api) { delete(a.objects, "/api/v1/namespaces/app/secrets/s3-keys") },
			`spec.actions[0].profile (Profile "app/s3").credential.keyPair.secret: Secret "app/s3-keys" does not exist`, event.ReasonNotFound},
		"profile's key": {func(_ *ResolveInput, a *api) {
			delete(a.objects["/api/v1/namespaces/app/secrets/s3-keys"]["data"].(map[string]any), "secret")
		}, `spec.actions[0].profile (Profile "app/s3").credential.keyPair.secret: Secret "app/s3-keys" has no key "secret"; it has id`, event.ReasonNotFound},
		"preferred version": {func(in *ResolveInput, _ *api) { in.Spec.PreferredVersion = "latest" },
			`spec.actions[0].preferredVersion: "latest" is not a semantic version; leave it out, or write v0.0.0`, event.ReasonInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			a, c := newAPI(t, appManifests()...)
			in := appInput()
			tc.change(&in, a)
			_, err := Resolve(t.Context(), c, in)
			require.ErrorContains(t, err, tc.want)
			var known *Error
			require.ErrorAs(t, err, &known)
			assert.Equal(t, tc.reason, known.Reason)
			assert.NotContains(t, err.Error(), canary)
		})
	}
}

// A server that cannot be reached is no fault of the ActionSet.
func TestResolveWithoutAServerHasNoReason(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Resolve(ctx, c, appInput())
	require.Error(t, err)
	var known *Error
	assert.NotErrorAs(t, err, &known)
}

func TestResolveAcceptsVersionsThatFallBack(t *testing.T) {
	_, c := newAPI(t, appManifests()...)
	in := appInput()
	in.Spec.PreferredVersion = "v1.0.0-alpha"
	resolved(t, c, in)
}

// An action on an app with n phases must not be dear: count what it reads.
func TestResolveReadsOnce(t *testing.T) {
	a, c := newAPI(t, appManifests()...)
	resolved(t, c, appInput())
	for path, n := range a.reads {
		assert.Equal(t, 1, n, path)
	}
	assert.Len(t, a.reads, 6, "object, pods, ConfigMap, Secret, Profile, its Secret: %v", a.reads)
}

func TestFind(t *testing.T) {
	const bp = "apiVersion: cr.kanister.io/v1alpha1\nkind: Blueprint\nmetadata: {name: %n, namespace: %s}\nactions: {backup: {kind: %s}}"
	manifest := func(name, namespace string) string {
		return strings.NewReplacer("%n", name, "%s", namespace).Replace(bp)
	}
	a, c := newAPI(t, manifest("both", "app"), manifest("both", "library"), manifest("shared", "library"))
	for name, where := range map[string]string{"both": "app", "shared": "library"} {
		found, err := Find(t.Context(), c, name, "app", "library")
		require.NoError(t, err)
		assert.Equal(t, where, found.Actions["backup"].Kind)
	}
	var known *Error
	_, err := Find(t.Context(), c, "nope", "app", "library")
	require.EqualError(t, err, `blueprint: Blueprint "nope" does not exist in namespace "app" nor in the library namespace "library"; create it, or correct spec.actions[].blueprint`)
	require.ErrorAs(t, err, &known)
	assert.Equal(t, event.ReasonNotFound, known.Reason)
	_, err = Find(t.Context(), c, "shared", "app", "")
	require.ErrorContains(t, err, `does not exist in namespace "app"; create it`)
	_, err = Find(t.Context(), c, "", "app", "library")
	require.ErrorContains(t, err, "name the Blueprint")
	a.forbidden["/apis/cr.kanister.io/v1alpha1/namespaces/app/blueprints/both"] = true
	_, err = Find(t.Context(), c, "both", "app", "library")
	require.ErrorAs(t, err, &known)
	assert.Equal(t, event.ReasonForbidden, known.Reason)
}
