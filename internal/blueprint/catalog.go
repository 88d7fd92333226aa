package blueprint

import "slices"

// Names of arguments that several functions take.
const (
	argNamespace  = "namespace"
	argCommand    = "command"
	argTimeout    = "timeout"
	argConditions = "conditions"
)

// required is an argument that must be given.
func required(name string, typ ArgType, doc string) Argument {
	return Argument{Name: name, Type: typ, Doc: doc, Required: true}
}

// optional is an argument that may be left out.
func optional(name string, typ ArgType, def, doc string) Argument {
	return Argument{Name: name, Type: typ, Doc: doc, Default: def}
}

// podArgs are the arguments that every function with a pod of its own takes.
func podArgs() []Argument {
	return []Argument{
		optional("podOverride", Object, "", "a patch of the pod's spec; the ActionSet's own goes before it"),
		optional("podAnnotations", Map, "", "annotations of the pod; these go before those of the ActionSet"),
		optional("podLabels", Map, "", "labels of the pod; these go before those of the ActionSet"),
	}
}

// args joins lists of arguments.
func args(lists ...[]Argument) []Argument { return slices.Concat(lists...) }

// podSignatures are the functions that run what the blueprint says in pods.
func podSignatures() []Signature {
	return []Signature{
		{
			Name: "KubeTask", Summary: "runs a command in a new pod", Resume: Adoptable, Pod: true, Markers: true,
			Args: args([]Argument{
				required("image", Text, "the image of the pod"),
				required(argCommand, List, "the command and its arguments"),
				optional(argNamespace, Text, "Salvor's own", "where the pod runs"),
			}, podArgs()),
		},
		{
			Name: "PrepareData", Summary: "runs a command in a new pod that has volumes mounted", Resume: Adoptable, Pod: true, Markers: true,
			Args: args([]Argument{
				required(argNamespace, Text, "where the pod runs"),
				required("image", Text, "the image of the pod"),
				required(argCommand, List, "the command and its arguments"),
				optional("volumes", Map, "the claims that the running pods of the ActionSet's workload mount, each at /mnt/prepare_data/<claim>", "where each claim is mounted, by the claim's name"),
				optional("serviceaccount", Text, "the namespace's default", "the pod's service account"),
				optional("failOnError", Bool, "false", "whether the failure of the command is one of the phase"),
			}, podArgs()),
		},
		{
			Name: "MultiContainerRun", Summary: "runs two commands beside each other in a new pod, which share a folder", Resume: Adoptable, Pod: true, Markers: true,
			Args: args([]Argument{
				required("backgroundImage", Text, "the image of the container background"),
				required("backgroundCommand", List, "the command of the container background; it must end well, too"),
				required("outputImage", Text, "the image of the container output"),
				required("outputCommand", List, "the command of the container output; what it publishes are the outputs of the phase"),
				optional(argNamespace, Text, "Salvor's own", "where the pod runs"),
				optional("initImage", Text, "", "the image of a container that runs before both"),
				optional("initCommand", List, "", "the command of that container; without initImage it is not used"),
				optional("sharedVolumeMedium", Text, "the node's disk", "the medium of the shared folder: Memory, HugePages, or nothing"),
				optional("sharedVolumeSizeLimit", Text, "none", "how much the shared folder may hold, such as 1Gi"),
				optional("sharedVolumeDir", Text, "/tmp/", "where the shared folder is mounted"),
			}, podArgs()),
		},
	}
}

// kubernetesSignatures are the functions that work on objects and pods that are
// there.
func kubernetesSignatures() []Signature {
	return []Signature{
		{
			Name: "KubeExec", Summary: "runs a command in a container that is there", Resume: Once, Markers: true,
			Args: []Argument{
				required(argNamespace, Text, "the namespace of the pod"),
				required("pod", Text, "the name of the pod"),
				required(argCommand, List, "the command and its arguments"),
				optional("container", Text, "the pod's default container", "the container"),
			},
		},
		{
			Name: "KubeExecAll", Summary: "runs a command in several containers at once", Resume: Once, Markers: true,
			Args: []Argument{
				required(argNamespace, Text, "the namespace of the pods"),
				required("pods", Text, "names of pods, with spaces between"),
				required("containers", Text, "names of containers, with spaces between: the command runs in each of them in each pod"),
				required(argCommand, List, "the command and its arguments"),
			},
		},
		{
			// Package kubeops makes repeats as harmless as it can, but whether an
			// earlier runner's delete or create has taken place is not to be seen
			// once others went on from there; its comment has the cases.
			Name: "KubeOps", Summary: "creates, deletes or patches an object", Resume: Once,
			Args: []Argument{
				required("operation", Text, "create, delete or patch"),
				optional("spec", Text, "", "the objects to create, or the patch, as YAML or JSON"),
				optional(argNamespace, Text, "default", "where an object without a namespace is created"),
				optional("objectReference", Object, "", "the object to delete or patch: apiVersion, group, resource, name, namespace"),
			},
			Outputs: []Output{
				{"apiVersion", "its API version"},
				{"group", "its API group"},
				{"resource", "its resource"},
				{"kind", "its kind"},
				{"name", "its name"},
				{argNamespace, "its namespace"},
			},
		},
		{
			Name: "LocationDelete", Summary: "deletes what is stored at a path and below it", Resume: Idempotent,
			Args: []Argument{required("artifact", Text, "the path in the profile's bucket; the bucket's name may stand before it")},
		},
		{
			Name: "ScaleWorkload", Summary: "sets a workload's replicas and waits until they are there", Resume: Idempotent,
			Args: []Argument{
				required("replicas", Integer, "how many there shall be"),
				optional(argNamespace, Text, "that of the ActionSet's object", "the namespace of the workload"),
				optional("name", Text, "that of the ActionSet's object", "the name of the workload"),
				optional("kind", Text, "that of the ActionSet's object", "deployment, statefulset or deploymentconfig"),
				optional("waitForReady", Bool, "true", "whether to wait until all replicas are ready"),
			},
			Outputs: []Output{{"originalReplicaCount", "how many there were, a number"}},
		},
		{
			// The function renders the objectReference of each condition; the
			// condition itself is a template of another kind.
			Name: "Wait", Summary: "waits until conditions on objects hold", Resume: Idempotent,
			Args: []Argument{
				required(argTimeout, Text, "how long to wait, such as 5m"),
				{Name: argConditions, Type: Object, Required: true, Verbatim: true, Doc: "anyOf and allOf: lists of condition and objectReference; {$.path} stands for a value of the object"},
			},
		},
		{
			Name: "WaitV2", Summary: "waits until conditions on objects hold, each a template over its object", Resume: Idempotent,
			Args: []Argument{
				{Name: argTimeout, Type: Text, Required: true, Verbatim: true, Doc: "how long to wait, such as 5m"},
				{Name: argConditions, Type: Object, Required: true, Verbatim: true, Doc: "anyOf and allOf: lists of condition and objectReference; $ is the object"},
			},
		},
	}
}
