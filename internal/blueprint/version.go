package blueprint

import (
	"fmt"

	"github.com/Masterminds/semver/v3"
)

// FunctionVersion is the version of all functions, as in Kanister.
const FunctionVersion = "v0.0.0"

// Preferred reads the preferredVersion of an action: whether the functions are run at
// another version than it asks for, because they have only FunctionVersion. What cannot
// be read as a version is an error; Kanister does not start such an action either.
func Preferred(version string) (other bool, err error) {
	if version == "" {
		return false, nil
	}
	v, err := semver.NewVersion(version)
	if err != nil {
		return false, fmt.Errorf("%q is not a semantic version; leave it out, or write %s: %w", version, FunctionVersion, err)
	}
	return !v.Equal(semver.MustParse(FunctionVersion)), nil
}
