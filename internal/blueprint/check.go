package blueprint

import kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"

// Problem is something in a blueprint that can never work.
type Problem struct {
	// Field is where, for example actions.backup.phases[0].args.image.
	Field string
	// Message is what is wrong.
	Message string
	// Hint is what to do.
	Hint string
}

// Error returns the whole in one line.
func (p Problem) Error() string {
	if p.Hint == "" {
		return p.Field + ": " + p.Message
	}
	return p.Field + ": " + p.Message + "; " + p.Hint
}

// Check looks for what can be known to fail before anything runs, in one action
// of the blueprint, or in all of them when action is "". It returns nil when it
// finds nothing.
func Check(bp *kanister.Blueprint, action string) []Problem {
	return nil
}
