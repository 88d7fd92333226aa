package blueprint

import (
	corev1 "k8s.io/api/core/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// ParamsVersion is the version of Params' wire form.
const ParamsVersion = 1

// Params are the template parameters of one action, resolved once when it
// starts. They travel as JSON in the object store, so they hold no secret value:
// whatever lies in a Secret is a SecretRef, read by Load.
type Params struct {
	// Version is ParamsVersion.
	Version int `json:"version"`
	// Namespace of the ActionSet; references that name none mean this one.
	Namespace string `json:"namespace"`
	// Time is when the action started, RFC 3339 with nanoseconds, UTC. All
	// phases and attempts see the same.
	Time string `json:"time"`
	// ObjectRef is the action's object, with group, version and resource as the
	// API server knows them.
	ObjectRef kanister.ObjectReference `json:"objectRef"`
	// Object is the action's object; nil when it is a Secret.
	Object kanister.JSONMap `json:"object,omitempty"`
	// ObjectSecret is set when the action's object is a Secret.
	ObjectSecret *SecretRef `json:"objectSecret,omitempty"`

	StatefulSet      *Workload   `json:"statefulSet,omitempty"`
	Deployment       *Workload   `json:"deployment,omitempty"`
	DeploymentConfig *Workload   `json:"deploymentConfig,omitempty"`
	PVC              *Named      `json:"pvc,omitempty"`
	TargetNamespace  *Named      `json:"targetNamespace,omitempty"`
	Profile          *ProfileRef `json:"profile,omitempty"`

	ArtifactsIn map[string]kanister.Artifact `json:"artifactsIn,omitempty"`
	ConfigMaps  map[string]corev1.ConfigMap  `json:"configMaps,omitempty"`
	Secrets     map[string]SecretRef         `json:"secrets,omitempty"`
	Options     map[string]string            `json:"options,omitempty"`

	PodOverride    kanister.JSONMap  `json:"podOverride,omitempty"`
	PodLabels      map[string]string `json:"podLabels,omitempty"`
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`
}

// Workload is a StatefulSet, Deployment or DeploymentConfig as templates see it.
type Workload struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	// Pods are the names of the running pods of the current revision, sorted.
	Pods []string `json:"pods"`
	// Containers are the names of the containers of each of Pods.
	Containers [][]string `json:"containers"`
	// PersistentVolumeClaims maps pod to claim to the path it is mounted at.
	PersistentVolumeClaims map[string]map[string]string `json:"persistentVolumeClaims"`
}

// Named is a claim or a namespace as templates see it.
type Named struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

// SecretRef names a Secret.
type SecretRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// ProfileRef is a Profile whose credential is a reference.
type ProfileRef struct {
	Namespace     string               `json:"namespace"`
	Name          string               `json:"name"`
	Location      kanister.Location    `json:"location"`
	Credential    *kanister.Credential `json:"credential,omitempty"`
	SkipSSLVerify bool                 `json:"skipSSLVerify,omitempty"`
	// CABundle is the Profile's annotation of that name.
	CABundle string `json:"caBundle,omitempty"`
}
