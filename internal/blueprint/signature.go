package blueprint

import "slices"

// Resume says what losing the runner means for a function that had started.
type Resume string

// The ways to go on.
const (
	// Adoptable: the work is in a pod; another runner follows the same pod.
	Adoptable Resume = "adoptable"
	// Idempotent: the work may be done again.
	Idempotent Resume = "idempotent"
	// Once: it cannot be known how far the work was; the phase ends as
	// interrupted.
	Once Resume = "once"
)

// Signature is what is known of a function without running it. Dispatcher and
// CLI check blueprints against it; the runner has an implementation for each.
type Signature struct {
	Name     string
	Required []string
	Optional []string
	// Verbatim arguments are given to the function as written, not rendered.
	Verbatim []string
	Resume   Resume
}

// Takes reports whether the function has an argument of that name.
func (s Signature) Takes(arg string) bool {
	return slices.Contains(s.Required, arg) || slices.Contains(s.Optional, arg)
}

// The arguments that every function with a pod of its own takes.
const (
	argPodOverride    = "podOverride"
	argPodAnnotations = "podAnnotations"
	argPodLabels      = "podLabels"
	argNamespace      = "namespace"
	argCommand        = "command"
	argTimeout        = "timeout"
	argConditions     = "conditions"
)

// Signatures returns what is known of every function, by name.
func Signatures() []Signature {
	return []Signature{
		{
			Name: "KubeExec", Resume: Once,
			Required: []string{argNamespace, "pod", argCommand},
			Optional: []string{"container"},
		},
		{
			Name: "KubeExecAll", Resume: Once,
			Required: []string{argNamespace, "pods", "containers", argCommand},
		},
		{
			// Package kubeops makes repeats as harmless as it can, but whether an
			// earlier runner's delete or create has taken place is not to be seen
			// once others went on from there; its comment has the cases.
			Name: "KubeOps", Resume: Once,
			Required: []string{"operation"},
			Optional: []string{"spec", argNamespace, "objectReference"},
		},
		{
			Name: "KubeTask", Resume: Adoptable,
			Required: []string{"image", argCommand},
			Optional: []string{argNamespace, argPodOverride, argPodAnnotations, argPodLabels},
		},
		{
			Name: "PrepareData", Resume: Adoptable,
			Required: []string{argNamespace, "image", argCommand},
			Optional: []string{"volumes", "serviceaccount", "failOnError", argPodOverride, argPodAnnotations, argPodLabels},
		},
		{
			Name: "ScaleWorkload", Resume: Idempotent,
			Required: []string{"replicas"},
			Optional: []string{argNamespace, "name", "kind", "waitForReady"},
		},
		{
			// The function renders the objectReference of each condition; the
			// condition itself is a template of another kind.
			Name: "Wait", Resume: Idempotent,
			Required: []string{argTimeout, argConditions},
			Verbatim: []string{argConditions},
		},
		{
			Name: "WaitV2", Resume: Idempotent,
			Required: []string{argTimeout, argConditions},
			Verbatim: []string{argTimeout, argConditions},
		},
	}
}

// Lookup returns the signature of the function of that name. Names are told
// apart by case, as in Kanister.
func Lookup(name string) (Signature, bool) {
	all := Signatures()
	i := slices.IndexFunc(all, func(s Signature) bool { return s.Name == name })
	if i < 0 {
		return Signature{}, false
	}
	return all[i], true
}
