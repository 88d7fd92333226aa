package kubefile

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// resource is how a kind is served.
type resource struct {
	name       string
	namespaced bool
}

// builtin are the kinds that are known without an object of them: those that templates
// and functions read.
func builtin() map[schema.GroupVersionKind]resource {
	core := func(kind string) schema.GroupVersionKind { return schema.GroupVersionKind{Version: "v1", Kind: kind} }
	apps := func(kind string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind}
	}
	return map[schema.GroupVersionKind]resource{
		core("Secret"):                {"secrets", true},
		core("ConfigMap"):             {"configmaps", true},
		core("Pod"):                   {"pods", true},
		core("Service"):               {"services", true},
		core("ServiceAccount"):        {"serviceaccounts", true},
		core("PersistentVolumeClaim"): {"persistentvolumeclaims", true},
		core("ReplicationController"): {"replicationcontrollers", true},
		core("Namespace"):             {"namespaces", false},
		core("Node"):                  {"nodes", false},
		core("PersistentVolume"):      {"persistentvolumes", false},
		apps("StatefulSet"):           {"statefulsets", true},
		apps("Deployment"):            {"deployments", true},
		apps("ReplicaSet"):            {"replicasets", true},
		apps("DaemonSet"):             {"daemonsets", true},
		{Group: "apps.openshift.io", Version: "v1", Kind: "DeploymentConfig"}: {"deploymentconfigs", true},
		{Group: "storage.k8s.io", Version: "v1", Kind: "StorageClass"}:        {"storageclasses", false},
		kanister.GroupVersion.WithKind("Blueprint"):                           {kanister.Blueprints.Resource, true},
		kanister.GroupVersion.WithKind("Profile"):                             {kanister.Profiles.Resource, true},
		kanister.GroupVersion.WithKind("ActionSet"):                           {kanister.ActionSets.Resource, true},
	}
}

// discovery answers what clients ask to find the resource of a kind, nil for any other
// path.
func (s *Store) discovery(path string) any {
	byVersion := map[schema.GroupVersion][]metav1.APIResource{}
	for gvk, r := range s.kinds {
		byVersion[gvk.GroupVersion()] = append(byVersion[gvk.GroupVersion()], metav1.APIResource{
			Name: r.name, Kind: gvk.Kind, Namespaced: r.namespaced, Verbs: metav1.Verbs{"get", "list"},
		})
	}
	switch path {
	case "/api":
		return metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
	case "/apis":
		return groups(byVersion)
	}
	for gv, list := range byVersion {
		if path == base(gv) {
			return metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: gv.String(), APIResources: list}
		}
	}
	return nil
}

func groups(byVersion map[schema.GroupVersion][]metav1.APIResource) metav1.APIGroupList {
	all := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	byName := map[string]*metav1.APIGroup{}
	for gv := range byVersion {
		if gv.Group == "" {
			continue
		}
		version := metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version}
		if byName[gv.Group] == nil {
			byName[gv.Group] = &metav1.APIGroup{Name: gv.Group, PreferredVersion: version}
		}
		byName[gv.Group].Versions = append(byName[gv.Group].Versions, version)
	}
	for _, group := range byName {
		all.Groups = append(all.Groups, *group)
	}
	return all
}

// base is the path of a group and version.
func base(gv schema.GroupVersion) string {
	if gv.Group == "" {
		return "/api/" + gv.Version
	}
	return "/apis/" + gv.Group + "/" + gv.Version
}
