package render

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/cli/actionset"
	"github.com/salvor-io/salvor/internal/kubefile"
	"github.com/salvor-io/salvor/internal/profile"
)

// example is the name of what is made up.
const example = "example"

// plain is what may not stand in a name: values of objects become names of others.
var plain = regexp.MustCompile(`[^a-z0-9]+`)

// maker makes up what no file has, from the names that templates use.
type maker struct {
	store *kubefile.Store
	// names that the templates of the action use.
	names [][]string
	// made is what was made up, for people.
	made []string
}

func newMaker(store *kubefile.Store) *maker {
	m := &maker{store: store}
	store.StandIn = m.standIn
	return m
}

// note remembers what was made up.
func (m *maker) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(m.made, text) {
		m.made = append(m.made, text)
	}
}

// object gives the flags an object, if they have none: of the kind that the templates
// use, or the one that the action is for.
func (m *maker) object(flags *actionset.Flags, namespace string, action *kanister.BlueprintAction) {
	if flags.Selector != "" || len(flags.StatefulSets)+len(flags.Deployments)+len(flags.DeploymentConfigs)+len(flags.PVCs)+
		len(flags.NamespaceTargets)+len(flags.Objects) > 0 {
		return
	}
	names := blueprint.Names(action)
	uses := func(field string) bool {
		return slices.ContainsFunc(names, func(path []string) bool { return path[0] == field }) || strings.EqualFold(action.Kind, field)
	}
	decoded := slices.ContainsFunc(blueprint.PipedTo(action, "b64dec"), func(path []string) bool {
		return len(path) > 1 && path[0] == "Object" && path[1] == "data"
	})
	only := func(kind string, names func(name string)) {
		for _, gvk := range []schema.GroupVersionKind{{Group: "apps", Version: "v1", Kind: kind}, {Group: "apps.openshift.io", Version: "v1", Kind: kind}, {Version: "v1", Kind: kind}} {
			if found := m.store.All(gvk); len(found) == 1 {
				names(found[0].GetNamespace() + "/" + found[0].GetName())
				return
			}
		}
		m.note("the object, a %s", kind)
		names(namespace + "/" + example)
	}
	switch {
	case uses("StatefulSet"):
		only("StatefulSet", func(name string) { flags.StatefulSets = []string{name} })
	case uses("Deployment"):
		only("Deployment", func(name string) { flags.Deployments = []string{name} })
	case uses("DeploymentConfig"):
		only("DeploymentConfig", func(name string) { flags.DeploymentConfigs = []string{name} })
	case uses("PVC"):
		only("PersistentVolumeClaim", func(name string) { flags.PVCs = []string{name} })
	case uses("Namespace"):
		m.note("the object, a Namespace")
		flags.NamespaceTargets = []string{namespace}
	case decoded: // as the data of a Secret has to be, and what is made up would not be base64
		m.note("the object, a Secret")
		flags.Objects = []string{"v1/secrets/" + namespace + "/" + example}
	default:
		m.note("the object")
		flags.Objects = []string{"v1/configmaps/" + namespace + "/" + example}
	}
}

// complete fills in what the action's templates name and the ActionSet does not give,
// but for options that the templates do without.
func (m *maker) complete(spec *kanister.ActionSpec, namespace string, action *kanister.BlueprintAction) {
	m.names = blueprint.Names(action)
	asked := blueprint.Asked(action)
	spared := func(path []string) bool {
		return slices.ContainsFunc(asked, func(other []string) bool { return slices.Equal(path, other) })
	}
	for _, path := range m.names {
		switch {
		case path[0] == "Options" && len(path) > 1 && !spared(path):
			add(&spec.Options, path[1], "<option "+path[1]+">", func() { m.note("option %s", path[1]) })
		case path[0] == "Secrets" && len(path) > 1:
			add(&spec.Secrets, path[1], kanister.ObjectReference{Namespace: namespace, Name: path[1]}, nil)
		case path[0] == "ConfigMaps" && len(path) > 1:
			add(&spec.ConfigMaps, path[1], kanister.ObjectReference{Namespace: namespace, Name: path[1]}, nil)
		case path[0] == "ArtifactsIn" && len(path) > 2:
			m.artifact(spec, path)
		case path[0] == "Profile" && spec.Profile == nil:
			spec.Profile = m.profile(namespace)
		}
	}
}

// add sets a key that is not there.
func add[T any](to *map[string]T, key string, value T, added func()) {
	if _, ok := (*to)[key]; ok {
		return
	}
	if *to == nil {
		*to = map[string]T{}
	}
	(*to)[key] = value
	if added != nil {
		added()
	}
}

func (m *maker) artifact(spec *kanister.ActionSpec, path []string) {
	if spec.Artifacts == nil {
		spec.Artifacts = map[string]kanister.Artifact{}
	}
	artifact := spec.Artifacts[path[1]]
	switch {
	case path[2] == "KopiaSnapshot" && artifact.KopiaSnapshot == "":
		artifact.KopiaSnapshot = "<artifact " + path[1] + ".kopiaSnapshot>"
		m.note("artifact %s", path[1])
	case path[2] == "KeyValue" && len(path) > 3:
		add(&artifact.KeyValue, path[3], "<artifact "+path[1]+"."+path[3]+">", func() { m.note("artifact %s", path[1]) })
	}
	spec.Artifacts[path[1]] = artifact
}

// profile is the only one of the files, or one that is made up.
func (m *maker) profile(namespace string) *kanister.ObjectReference {
	if found := m.store.All(kanister.GroupVersion.WithKind("Profile")); len(found) == 1 {
		return &kanister.ObjectReference{Namespace: found[0].GetNamespace(), Name: found[0].GetName()}
	}
	return &kanister.ObjectReference{Namespace: namespace, Name: example}
}

// standIn makes up an object.
func (m *maker) standIn(gvk schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	where := name
	if namespace != "" {
		where = namespace + "/" + name
	}
	u := &unstructured.Unstructured{Object: map[string]any{}}
	switch gvk.Kind {
	case "Blueprint", "ActionSet":
		return nil // what is to be rendered is not made up
	case "Namespace":
		return u // nothing of it is shown
	case "Secret":
		u.Object["type"], u.Object["data"] = m.secretType(namespace, name), m.secretData()
	case "ConfigMap":
		u.Object["data"] = m.keys("ConfigMaps", func(key string) string { return "<" + where + " " + key + ">" })
	case "Profile":
		u.Object["location"] = map[string]any{"type": "s3Compliant", "bucket": "<bucket>", "endpoint": "<endpoint>", "prefix": "<prefix>", "region": "<region>"}
		u.Object["credential"] = map[string]any{"type": "keyPair", "keyPair": map[string]any{
			"idField": profile.AWSAccessKeyID, "secretField": profile.AWSSecretAccessKey,
			"secret": map[string]any{"name": name, "namespace": namespace},
		}}
	case "StatefulSet", "Deployment", "DeploymentConfig":
		m.workload(u, name)
	}
	m.paths(u)
	m.note("%s %s", gvk.Kind, where)
	return u
}

// secretData has every key that any template reads of any Secret, and what Profiles
// read.
func (m *maker) secretData() map[string]any {
	data := m.keys("Secrets", func(string) string { return "" })
	for _, path := range m.names {
		if len(path) > 4 && path[0] == "Profile" && path[2] == "Secret" {
			data[path[4]] = ""
		}
	}
	for _, key := range []string{
		profile.AWSAccessKeyID, profile.AWSSecretAccessKey, profile.AzureStorageAccount, profile.AzureStorageKey, profile.GCPProjectID, profile.GCPServiceKey,
	} {
		data[key] = ""
	}
	for _, p := range m.store.All(kanister.GroupVersion.WithKind("Profile")) {
		for _, field := range []string{"idField", "secretField"} {
			if key, _, _ := unstructured.NestedString(p.Object, "credential", "keyPair", field); key != "" {
				data[key] = ""
			}
		}
	}
	return data
}

// secretType is what the Profile that refers to the Secret needs.
func (m *maker) secretType(namespace, name string) string {
	for _, p := range m.store.All(kanister.GroupVersion.WithKind("Profile")) {
		in, _, _ := unstructured.NestedString(p.Object, "credential", "secret", "namespace")
		called, _, _ := unstructured.NestedString(p.Object, "credential", "secret", "name")
		if called != name || in != "" && in != namespace {
			continue
		}
		switch kind, _, _ := unstructured.NestedString(p.Object, "location", "type"); kind {
		case string(profile.LocationAzure):
			return profile.SecretAzure
		case string(profile.LocationGCS):
			return profile.SecretGCP
		}
	}
	return profile.SecretAWS
}

// keys are those that templates read of the data of Secrets or ConfigMaps.
func (m *maker) keys(list string, value func(key string) string) map[string]any {
	data := map[string]any{}
	for _, path := range m.names {
		if i := slices.Index(path, list); i >= 0 && len(path) > i+3 && path[i+2] == "Data" {
			data[path[i+3]] = value(path[i+3])
		}
	}
	return data
}

// workload gives an object what makes its pods known; withPods makes them.
func (m *maker) workload(u *unstructured.Unstructured, name string) {
	replicas := int64(1)
	for _, path := range m.names {
		if len(path) > 2 && path[1] == "Pods" {
			if i, err := strconv.ParseInt(strings.Trim(path[2], "[]"), 10, 64); err == nil {
				replicas = max(replicas, i+1)
			}
		}
	}
	labels := map[string]any{"app": name}
	u.Object["spec"] = map[string]any{
		"replicas": replicas,
		"selector": map[string]any{"matchLabels": labels},
		"template": map[string]any{
			"metadata": map[string]any{"labels": labels},
			"spec": map[string]any{
				"containers": []any{map[string]any{"name": "main", "volumeMounts": []any{map[string]any{"name": "data", "mountPath": "/data"}}}},
				"volumes":    []any{map[string]any{"name": "data", "persistentVolumeClaim": map[string]any{"claimName": "data-" + name + "-0"}}},
			},
		},
	}
}

// paths sets what templates read of .Object, where it is not set yet.
func (m *maker) paths(u *unstructured.Unstructured) {
	// The longest first, so that what is looked into is not a text.
	paths := slices.SortedStableFunc(slices.Values(m.names), func(a, b []string) int { return len(b) - len(a) })
	for _, path := range paths {
		if path[0] == "Object" && len(path) > 1 {
			u.Object, _ = set(u.Object, path[1:], example+"-"+plain.ReplaceAllString(strings.ToLower(path[len(path)-1]), "-")).(map[string]any)
		}
	}
}

// set is x with a value at a path, where [n] is an item of a list. What is there
// already stays.
func set(x any, path []string, value string) any {
	if len(path) == 0 {
		if x == nil {
			return value
		}
		return x
	}
	if n, err := strconv.Atoi(strings.Trim(path[0], "[]")); err == nil && strings.HasPrefix(path[0], "[") {
		list, ok := x.([]any)
		if x != nil && !ok || n > 100 {
			return x
		}
		for len(list) <= n {
			list = append(list, nil)
		}
		list[n] = set(list[n], path[1:], value)
		return list
	}
	m, ok := x.(map[string]any)
	if x != nil && !ok {
		return x
	}
	if m == nil {
		m = map[string]any{}
	}
	m[path[0]] = set(m[path[0]], path[1:], value)
	return m
}
