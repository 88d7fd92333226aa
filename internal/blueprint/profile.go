package blueprint

import (
	"context"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/profile"
)

// refOf is what is kept of a Profile.
func refOf(p *kanister.Profile, namespace, name string) *ProfileRef {
	return &ProfileRef{
		Namespace: namespace, Name: name,
		Location: p.Location, Credential: p.Credential, SkipSSLVerify: p.SkipSSLVerify,
		CABundle: p.Annotations[kanister.AnnotationCABundle],
	}
}

// ReadProfile reads what a Profile refers to, as a phase would: the Secret of its
// credential and the ConfigMap with its authorities. The result holds secret values.
func ReadProfile(ctx context.Context, c Cluster, p *kanister.Profile) (*profile.Profile, error) {
	return newReader(c).profile(ctx, "profile", refOf(p, p.Namespace, p.Name))
}
