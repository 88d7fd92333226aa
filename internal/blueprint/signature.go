package blueprint

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
