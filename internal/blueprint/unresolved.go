package blueprint

import (
	"context"
	"maps"
	"slices"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Unresolved returns everything for which Resolve would fail, not the first only, for
// somebody who wants to correct it all. The errors are those of Resolve.
func Unresolved(ctx context.Context, c Cluster, in ResolveInput) []error {
	var errs []error
	try := func(spec kanister.ActionSpec, step func(*resolver, context.Context) error) {
		part := in
		part.Spec = spec
		if err := step(&resolver{in: part, reader: newReader(c), params: &Params{}}, ctx); err != nil {
			errs = append(errs, err)
		}
	}
	try(in.Spec, (*resolver).version)
	try(in.Spec, (*resolver).object)
	for _, name := range slices.Sorted(maps.Keys(in.Spec.ConfigMaps)) {
		try(kanister.ActionSpec{ConfigMaps: map[string]kanister.ObjectReference{name: in.Spec.ConfigMaps[name]}}, (*resolver).configMaps)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Spec.Secrets)) {
		try(kanister.ActionSpec{Secrets: map[string]kanister.ObjectReference{name: in.Spec.Secrets[name]}}, (*resolver).secrets)
	}
	try(in.Spec, (*resolver).profile)
	return errs
}
