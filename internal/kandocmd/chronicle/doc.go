// Package chronicle keeps the latest output of a command in an object store, as
// `kando chronicle push` and `pull` do: for state that changes all the time and of
// which a backup wants the last, such as the members of a cluster.
//
// What is stored is what Kanister's kando stores, so either reads the other's. For
// the path a/b below the profile's prefix:
//
//	a/b-7   the output of the eighth run
//	a/b     the manifest: the text "a/b-7", without a newline
//
// A run stores a/b-8, then the manifest, then deletes a/b-7. So a reader always
// finds a whole output behind the manifest, and one that is overtaken between the
// two reads starts again.
//
// Where Kanister's loses data this one does not:
//
//   - A run continues at the number of the manifest. Kanister begins at 0 with each
//     start: it overwrites output that a reader may be at, and never deletes what
//     the manifest named before.
//   - The output of a command that fails is not stored.
//   - A path file that is missing or empty is waited for, as a profile that is
//     missing is. Kanister writes to "-0" below the prefix.
//   - An old output is deleted by its name. Kanister deletes by prefix: with a/b-1
//     also a/b-10.
package chronicle
