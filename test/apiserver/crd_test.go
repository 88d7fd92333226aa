package apiserver_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/internal/kubetest"
	"github.com/salvor-io/salvor/internal/trigger"
)

func TestCRDs(t *testing.T) {
	t.Parallel()
	server := kubetest.Start(t)
	server.InstallCRDs(t, filepath.Join("..", "..", "deploy", "chart", "files", "crds"))
	clients, err := kube.New(server.Config())
	require.NoError(t, err)

	for _, c := range []struct {
		name     string
		resource schema.GroupVersionResource
		manifest string
		// refused is a part of the API server's answer; empty means accepted.
		refused string
	}{
		{"an ActionSet as kanctl writes it", kanister.ActionSets, `
spec:
  actions:
  - name: backup
    blueprint: postgres-bp
    object: {apiVersion: "", group: "", resource: "", kind: StatefulSet, name: db, namespace: shop}
    configMaps: {}
    secrets: null
    options: null
    artifacts: null
    preferredVersion: ""
    profile: {apiVersion: "", group: "", kind: "", name: backups, namespace: shop, resource: ""}
    podOverride: {nodeSelector: {disk: ssd}, tolerations: [{operator: Exists}]}`, ""},
		{"an ActionSet without spec", kanister.ActionSets, `{}`, "spec: Required value"},
		{"an ActionSet without actions", kanister.ActionSets, `spec: {actions: []}`, "spec.actions in body should have at least 1 items"},
		{"an action without a name", kanister.ActionSets, `spec: {actions: [{object: {kind: Namespace, name: a}}]}`, "spec.actions[0].name: Required value"},
		{"an action without an object", kanister.ActionSets, `spec: {actions: [{name: backup}]}`, "spec.actions[0].object: Required value"},
		{"options that are not text", kanister.ActionSets, `spec: {actions: [{name: b, object: {}, options: {a: 1}}]}`, "spec.actions[0].options.a"},
		{"a Blueprint without a function", kanister.Blueprints, `actions: {backup: {phases: [{name: a}]}}`, "actions.backup.phases[0].func: Required value"},
		{"a Blueprint with an unnamed deferPhase and null arguments", kanister.Blueprints, `
actions:
  backup:
    phases: [{func: KubeTask, name: a, args: {namespace: null, command: [sh]}}]
    deferPhase: {func: KubeOps, args: {operation: delete}}`, ""},
		{"a Profile as kanctl writes it", kanister.Profiles, `
location: {type: s3Compliant, bucket: b, endpoint: "http://s3:7070", prefix: "", region: us-east-1}
credential: {type: keyPair, keyPair: {idField: aws_access_key_id, secretField: aws_secret_access_key, secret: {apiVersion: v1, kind: Secret, name: s, namespace: shop}}}
skipSSLVerify: false`, ""},
		{"a Profile of an unknown type", kanister.Profiles, `location: {type: ftp, bucket: b}`, `Unsupported value: "ftp": supported values: "s3Compliant", "gcs", "azure", "kopia", "filestore"`},
		{"a Profile without a bucket", kanister.Profiles, `location: {type: gcs}`, "location.bucket is required for this type"},
		{"a Profile for RDS, without a bucket", kanister.Profiles, `location: {type: s3Compliant, region: eu-west-1}`, ""},
		{"a Profile without bucket and region", kanister.Profiles, `location: {type: s3Compliant}`, "then needs location.region"},
		{"a key pair that is missing", kanister.Profiles, `{location: {type: gcs, bucket: b}, credential: {type: keyPair}}`, "credential.keyPair is required when credential.type is keyPair"},
		{"a Profile without a credential", kanister.Profiles, `{location: {type: s3Compliant, bucket: b}}`, ""},
		{"a Profile with an empty credential", kanister.Profiles, `{location: {type: gcs, bucket: b}, credential: {}}`, ""},
		{"a credential without a type", kanister.Profiles, `{location: {type: gcs, bucket: b}, credential: {secret: {name: s}}}`, "credential.type is required"},
		{"an ActionTrigger", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: com.example.saved, source: /app, tenant: a}}]}}
  template: {spec: {actions: [{name: backup, blueprint: b, object: {kind: Namespace, name: a}}]}}`, ""},
		{"an ActionTrigger without filters", salvor.ActionTriggers, `
spec:
  when: {event: {filters: []}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, "spec.when.event.filters in body should have at least 1 items"},
		{"an attribute that cannot be", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {Event-Type: x}}]}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, "attribute names are lower-case letters and digits"},
		{"an ActionTrigger with all that there is", salvor.ActionTriggers, `
spec:
  when:
    event:
      filters:
      - all: [{prefix: {type: com.}}, {not: {suffix: {source: /x}}}, {any: [{cesql: EXISTS subject}, {all: [{exact: {type: a}}]}]}]
      - cesql: "type = 'a'"
    schedule: {cron: "0 2 * * *", timeZone: Europe/Berlin, jitter: 1h30m, missed: Skip}
    kubernetes:
      annotation: {apiVersion: apps/v1, kind: StatefulSet, key: example.com/backup, selector: {matchLabels: {a: b}}}
      event: {reasons: [Saved], type: Warning}
  key: "{{ .Event.subject }}"
  concurrency: Replace
  coalesce: 1.5h
  rateLimit: {starts: 3, per: 1h}
  keep: {count: 3, within: 36h, hourly: 1, daily: 7, weekly: 4, monthly: 12, yearly: 2, timeZone: Europe/Berlin, failed: 5, action: delete}
  suspend: true
  template: {metadata: {labels: {a: b}, annotations: {a: "{{ .Event.id }}"}}, artifactsFrom: Run, spec: {actions: [{name: backup, object: {}}]}}`, ``},
		{"a trigger that nothing fires", salvor.ActionTriggers, `
spec:
  when: {}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when in body should have at least 1 properties`},
		{"a filter of nothing", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{}]}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.event.filters[0] in body should have at least 1 properties`},
		{"a filter of two dialects", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}, prefix: {type: a}}]}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `filters[0]: Too many: 2: must have at most 1 item`},
		{"a dialect of nothing", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {}}]}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.event.filters[0].exact in body should have at least 1 properties`},
		{"any of nothing", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{any: []}]}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.event.filters[0].any in body should have at least 1 items`},
		{"an expression of nothing", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{cesql: ""}]}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.event.filters[0].cesql in body should be at least 1 chars long`},
		{"too many filters", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}, {exact: {type: a}}]}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.event.filters: Too many: 17: must have at most 16 items`},
		{"a suffix of an attribute that cannot be", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{suffix: {aTtribute: x}}]}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `attribute names are lower-case letters and digits`},
		{"no expression of time", salvor.ActionTriggers, `
spec:
  when: {schedule: {cron: ""}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.schedule.cron in body should be at least 1 chars long`},
		{"jitter in days", salvor.ActionTriggers, `
spec:
  when: {schedule: {cron: "@daily", jitter: 1d}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.schedule.jitter in body should match`},
		{"jitter before the time", salvor.ActionTriggers, `
spec:
  when: {schedule: {cron: "@daily", jitter: -1h}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.schedule.jitter in body should match`},
		{"a policy for missed ticks that there is not", salvor.ActionTriggers, `
spec:
  when: {schedule: {cron: "@daily", missed: All}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `Unsupported value: "All": supported values: "Once", "Skip"`},
		{"nothing of Kubernetes", salvor.ActionTriggers, `
spec:
  when: {kubernetes: {}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.kubernetes in body should have at least 1 properties`},
		{"no reasons", salvor.ActionTriggers, `
spec:
  when: {kubernetes: {event: {reasons: []}}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.kubernetes.event.reasons in body should have at least 1 items`},
		{"a type of Kubernetes Events that there is not", salvor.ActionTriggers, `
spec:
  when: {kubernetes: {event: {reasons: [a], type: Error}}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `Unsupported value: "Error": supported values: "Normal", "Warning"`},
		{"an annotation without its name", salvor.ActionTriggers, `
spec:
  when: {kubernetes: {annotation: {apiVersion: v1, kind: Pod, key: ""}}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.when.kubernetes.annotation.key in body should be at least 1 chars long`},
		{"a concurrency that there is not", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  concurrency: forbid
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `Unsupported value: "forbid": supported values: "Allow", "Forbid", "Replace"`},
		{"a window that is a number", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  coalesce: 30
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.coalesce in body must be of type string`},
		{"a window without a unit", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  coalesce: "30"
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.coalesce in body should match`},
		{"a rate of nothing", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  rateLimit: {starts: 0, per: 1h}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.rateLimit.starts in body should be greater than or equal to 1`},
		{"a rate without a time", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  rateLimit: {starts: 1}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.rateLimit.per: Required value`},
		{"a retention of nothing", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  keep: {}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.keep in body should have at least 1 properties`},
		{"none kept", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  keep: {count: 0}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.keep.count in body should be greater than or equal to 1`},
		{"kept for some days", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  keep: {within: 7d}
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.keep.within in body should match`},
		{"a key that is too long", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  key: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
  template: {spec: {actions: [{name: backup, object: {}}]}}`, `spec.key: Too long`},
		{"artifacts from nowhere", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  template: {artifactsFrom: Event, spec: {actions: [{name: backup, object: {}}]}}`, `Unsupported value: "Event": supported values: "Spec", "Run"`},
		{"a template without actions", salvor.ActionTriggers, `
spec:
  when: {event: {filters: [{exact: {type: a}}]}}
  template: {spec: {actions: []}}`, `spec.template.spec.actions in body should have at least 1 items`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			object := parse(t, c.manifest)
			object.SetGroupVersionKind(c.resource.GroupVersion().WithKind(kinds[c.resource]))
			object.SetGenerateName("x-")
			_, err := clients.Dynamic.Resource(c.resource).Namespace("default").Create(t.Context(), object, metav1.CreateOptions{})
			if c.refused == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.refused)
		})
	}
	t.Run("nested filters are kept", func(t *testing.T) { t.Parallel(); nestedFiltersAreKept(t, clients) })
	t.Run("null arguments are kept", func(t *testing.T) { t.Parallel(); nullsAreKept(t, clients) })
	t.Run("a status of any size of words", func(t *testing.T) { t.Parallel(); statusIsSeparate(t, clients.Dynamic) })
}

var kinds = map[schema.GroupVersionResource]string{
	kanister.ActionSets: "ActionSet", kanister.Blueprints: "Blueprint", kanister.Profiles: "Profile",
	salvor.ActionTriggers: "ActionTrigger",
}

func parse(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	object := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(manifest), &object))
	return &unstructured.Unstructured{Object: object}
}

// nullsAreKept: a null argument must reach the dispatcher, which says what is
// wrong with it; a server that dropped it would hide a mistake.
func nullsAreKept(t *testing.T, clients *kube.Clients) {
	t.Helper()
	var blueprint kanister.Blueprint
	require.NoError(t, yaml.Unmarshal([]byte(`
metadata: {generateName: nulls-}
actions: {backup: {phases: [{func: ScaleWorkload, name: a, args: {namespace: null, replicas: 3}}]}}`), &blueprint))
	created, err := clients.Blueprints("default").Create(t.Context(), &blueprint, metav1.CreateOptions{})
	require.NoError(t, err)
	args := created.Actions["backup"].Phases[0].Args
	assert.Contains(t, args, "namespace")
	assert.Nil(t, args["namespace"])
	assert.Equal(t, int64(3), args["replicas"], "integers stay integers")
}

// statusIsSeparate: whoever may create an ActionSet cannot write its status with
// it, and the state can be selected on.
func statusIsSeparate(t *testing.T, client dynamic.Interface) {
	t.Helper()
	actionSets := client.Resource(kanister.ActionSets).Namespace("default")
	object := parse(t, `
apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
metadata: {name: separate}
spec: {actions: [{name: backup, object: {kind: Namespace, name: a}}]}
status: {state: complete}`)
	created, err := actionSets.Create(t.Context(), object, metav1.CreateOptions{})
	require.NoError(t, err)
	assert.NotContains(t, created.Object, "status")
	_, err = actionSets.Patch(t.Context(), "separate", types.MergePatchType, []byte(`{"status":{"state":"done"}}`), metav1.PatchOptions{}, "status")
	require.ErrorContains(t, err, `Unsupported value: "done"`)
	_, err = actionSets.Patch(t.Context(), "separate", types.MergePatchType, []byte(`{"status":{"state":"complete"}}`), metav1.PatchOptions{}, "status")
	require.NoError(t, err)
	unfinished, err := actionSets.List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=separate,status.state!=complete,status.state!=failed"})
	require.NoError(t, err)
	assert.Empty(t, unfinished.Items)
}

// nestedFiltersAreKept: the schema cannot say what a filter in a filter is, so what
// is written there must reach who can, also what is wrong with it.
func nestedFiltersAreKept(t *testing.T, clients *kube.Clients) {
	t.Helper()
	var at salvor.ActionTrigger
	require.NoError(t, yaml.Unmarshal([]byte(`
metadata: {generateName: nested-}
spec:
  when: {event: {filters: [{any: [{not: {exact: {type: a}}}, {exat: {type: b}}]}]}}
  template: {spec: {actions: [{name: backup, object: {}}]}}`), &at))
	require.Len(t, trigger.Check(&at), 1)
	created, err := clients.ActionTriggers("default").Create(t.Context(), &at, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	require.NoError(t, err)
	problems := trigger.Check(created)
	require.Len(t, problems, 1)
	assert.Equal(t, `spec.when.event.filters[0].any[1]: there is no filter "exat"; did you mean exact?`, problems[0].Error())
}
