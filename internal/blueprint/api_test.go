package blueprint

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/internal/kube"
)

// api answers reads over HTTP as an API server does, from a table, so that the
// real clients are under test. What a real API server adds (admission, RBAC,
// conversion) is met by the tests against one.
type api struct {
	mu sync.Mutex
	// objects by path, lists are made of them.
	objects map[string]map[string]any
	// forbidden paths.
	forbidden map[string]bool
	// anySecret, if not nil, is the data of every Secret that is not in objects.
	anySecret map[string][]byte
	// reads counts the requests that are not discovery, by path.
	reads map[string]int
}

// resources that the API has, by group and version.
var resources = map[string][]metav1.APIResource{
	"v1": {
		{Name: "secrets", SingularName: "secret", Kind: "Secret", Namespaced: true},
		{Name: "configmaps", SingularName: "configmap", Kind: "ConfigMap", Namespaced: true},
		{Name: "pods", SingularName: "pod", Kind: "Pod", Namespaced: true},
		{Name: "namespaces", SingularName: "namespace", Kind: "Namespace"},
		{Name: "persistentvolumeclaims", SingularName: "persistentvolumeclaim", Kind: "PersistentVolumeClaim", Namespaced: true},
		{Name: "replicationcontrollers", SingularName: "replicationcontroller", Kind: "ReplicationController", Namespaced: true},
		{Name: "nodes", SingularName: "node", Kind: "Node"},
	},
	"apps/v1": {
		{Name: "statefulsets", SingularName: "statefulset", Kind: "StatefulSet", Namespaced: true},
		{Name: "deployments", SingularName: "deployment", Kind: "Deployment", Namespaced: true},
		{Name: "replicasets", SingularName: "replicaset", Kind: "ReplicaSet", Namespaced: true},
	},
	"apps.openshift.io/v1": {
		{Name: "deploymentconfigs", SingularName: "deploymentconfig", Kind: "DeploymentConfig", Namespaced: true},
	},
	"metrics.k8s.io/v1": {
		{Name: "pods", SingularName: "pod", Kind: "PodMetrics", Namespaced: true},
	},
	"elasticsearch.k8s.elastic.co/v1": {
		{Name: "elasticsearches", SingularName: "elasticsearch", Kind: "Elasticsearch", Namespaced: true},
	},
	"cr.kanister.io/v1alpha1": {
		{Name: "blueprints", SingularName: "blueprint", Kind: "Blueprint", Namespaced: true},
		{Name: "profiles", SingularName: "profile", Kind: "Profile", Namespaced: true},
	},
}

// newAPI starts an API with the objects of the manifests, and returns clients.
func newAPI(t *testing.T, manifests ...string) (*api, Cluster) {
	t.Helper()
	a := &api{objects: map[string]map[string]any{}, forbidden: map[string]bool{}, reads: map[string]int{}}
	for _, manifest := range manifests {
		for doc := range strings.SplitSeq(manifest, "\n---\n") {
			if strings.TrimSpace(doc) != "" {
				a.add(t, doc)
			}
		}
	}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	clients, err := kube.New(&rest.Config{Host: server.URL})
	require.NoError(t, err)
	return a, Cluster{Clients: clients}
}

func (a *api) add(t *testing.T, manifest string) {
	t.Helper()
	var object map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(manifest), &object), manifest)
	meta := object["metadata"].(map[string]any)
	if meta["uid"] == nil {
		meta["uid"] = "uid-" + meta["name"].(string)
	}
	meta["managedFields"] = []any{map[string]any{"manager": "test"}}
	gv, kind := object["apiVersion"].(string), object["kind"].(string)
	for _, r := range resources[gv] {
		if r.Kind != kind {
			continue
		}
		namespace, _ := meta["namespace"].(string)
		path := base(gv)
		if r.Namespaced {
			path += "/namespaces/" + namespace
		}
		a.objects[path+"/"+r.Name+"/"+meta["name"].(string)] = object
		return
	}
	require.Fail(t, "no resource for", "%s %s", gv, kind)
}

func (a *api) remove(path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.objects, path)
}

func base(gv string) string {
	if gv == "v1" {
		return "/api/v1"
	}
	return "/apis/" + gv
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if found := discovery(r.URL.Path); found != nil {
		_ = json.NewEncoder(w).Encode(found)
		return
	}
	a.reads[r.URL.Path]++
	switch {
	case a.forbidden[r.URL.Path]:
		status(w, http.StatusForbidden, metav1.StatusReasonForbidden, r.URL.Path)
	case a.objects[r.URL.Path] != nil:
		_ = json.NewEncoder(w).Encode(a.objects[r.URL.Path])
	case a.anySecret != nil && strings.Contains(r.URL.Path, "/secrets/"):
		_ = json.NewEncoder(w).Encode(corev1.Secret{
			TypeMeta:   metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"},
			ObjectMeta: metav1.ObjectMeta{Name: r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:], Namespace: "app"},
			Data:       a.anySecret,
		})
	case listOf(r.URL.Path) != nil:
		a.list(w, r, listOf(r.URL.Path))
	default:
		status(w, http.StatusNotFound, metav1.StatusReasonNotFound, r.URL.Path)
	}
}

// listOf returns the type of the list that a path means, nil when it means none.
func listOf(path string) *metav1.TypeMeta {
	for gv, list := range resources {
		for _, r := range list {
			if strings.HasPrefix(path, base(gv)+"/") && strings.HasSuffix(path, "/"+r.Name) {
				return &metav1.TypeMeta{APIVersion: gv, Kind: r.Kind + "List"}
			}
		}
	}
	return nil
}

func (a *api) list(w http.ResponseWriter, r *http.Request, of *metav1.TypeMeta) {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		status(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	items := []any{}
	for path, object := range a.objects {
		if !strings.HasPrefix(path, r.URL.Path+"/") {
			continue
		}
		set := labels.Set{}
		if l, ok := object["metadata"].(map[string]any)["labels"].(map[string]any); ok {
			for k, v := range l {
				set[k] = v.(string)
			}
		}
		if selector.Matches(set) {
			items = append(items, object)
		}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": of.Kind, "apiVersion": of.APIVersion, "metadata": map[string]any{}, "items": items})
}

func status(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: strings.ToLower(string(reason)) + ": " + message,
	})
}

func discovery(path string) any {
	switch path {
	case "/api":
		return metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	case "/apis":
		groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
		for gv := range resources {
			if gv == "v1" {
				continue
			}
			parsed, _ := schema.ParseGroupVersion(gv)
			version := metav1.GroupVersionForDiscovery{GroupVersion: gv, Version: parsed.Version}
			groups.Groups = append(groups.Groups, metav1.APIGroup{
				Name: parsed.Group, Versions: []metav1.GroupVersionForDiscovery{version}, PreferredVersion: version,
			})
		}
		return groups
	}
	for gv, list := range resources {
		if path == base(gv) {
			return metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv, APIResources: list}
		}
	}
	return nil
}

// secretOf makes a Secret's manifest.
func secretOf(namespace, name string, typ corev1.SecretType, values map[string]string) string {
	secret := corev1.Secret{
		TypeMeta:   metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Type:       typ, Data: map[string][]byte{},
	}
	for key, value := range values {
		secret.Data[key] = []byte(value)
	}
	text, err := yaml.Marshal(secret)
	if err != nil {
		panic(err)
	}
	return string(text)
}
