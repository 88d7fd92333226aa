// Package profile is the resolved profile: where data goes and with which
// credential, in the shape that `{{ toJson .Profile }}` has in a blueprint and
// that kando takes on its command line.
//
// A Profile resource (cr.kanister.io) only refers to a Secret. Whoever renders a
// blueprint reads that Secret and fills the type here; the JSON then travels in
// the command of a task pod. The mixed case of the names (Go names outside, lower
// case inside Location) is the contract with the blueprints people already have,
// so a golden test holds it byte for byte.
//
// The package imports the standard library only. Secret is a type of its own
// rather than Kubernetes' corev1.Secret, because those types alone would add
// 8 MB to kando, which is copied into task images. It has the same field names
// and the same JSON, so that templates such as
// `{{ index .Profile.Credential.Secret.Data "key" | toString }}` work.
//
// Everything in this package that can be printed prints without its secret
// parts; only JSON carries them.
package profile
