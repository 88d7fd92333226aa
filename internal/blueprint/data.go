package blueprint

import (
	corev1 "k8s.io/api/core/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/profile"
)

// data is what templates see. The names of the fields are Kanister's, so they are
// a contract with every blueprint; docs/templates.md describes them.
type data struct {
	StatefulSet      *Workload
	DeploymentConfig *Workload
	Deployment       *Workload
	PVC              *Named
	Namespace        *Named
	ArtifactsIn      map[string]kanister.Artifact
	ConfigMaps       map[string]corev1.ConfigMap
	Secrets          map[string]corev1.Secret
	Time             string
	Profile          *profile.Profile
	Options          map[string]string
	Object           map[string]any
	Phases           map[string]*phaseData
	DeferPhase       *phaseData
	// CurrentPhase is nil in the deferPhase.
	CurrentPhase   *phaseData
	PodOverride    map[string]any
	PodAnnotations map[string]string
	PodLabels      map[string]string
}

// phaseData is one phase as templates see it.
type phaseData struct {
	Secrets    map[string]corev1.Secret
	ConfigMaps map[string]corev1.ConfigMap
	Output     map[string]any
}
