package validate

import (
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/policy"
)

// problems is everything that is wrong with a blueprint, one sentence each. What
// else can be said of a blueprint without running it is added here.
func problems(bp *kanister.Blueprint) []string {
	var out []string
	for _, problem := range blueprint.Check(bp, "") {
		out = append(out, problem.Error())
	}
	for _, problem := range policy.CheckBlueprint(bp) {
		out = append(out, problem.Error())
	}
	return out
}
