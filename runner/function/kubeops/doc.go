// Package kubeops has the function KubeOps: create, delete and patch of any
// object.
//
// An operation that meets what an earlier attempt of its phase left behind takes
// it for done:
//
//   - create marks what it makes with the annotation AnnotationJob, which names
//     the phase and the document. AlreadyExists with our own mark means that an
//     earlier attempt made it, and the object is taken as it is; without it, it is
//     somebody else's and the phase fails. An object with generateName gets a name
//     that is computed from the mark, in place of the API server's random one, so
//     that a repeat meets its own object and not a second one.
//   - delete takes an object that is not there for deleted. (Kanister fails.) The
//     end is awaited for the very object that was deleted: one that a controller
//     makes anew under the same name does not count.
//   - patch merges, and a second merge of the same patch changes nothing.
//
// # Why it is still not run again by itself
//
// A runner may be lost after the API server did what was asked, and the repeat may
// come hours later. Between the two the cluster goes on, and then nothing that can
// be seen tells a first attempt from a second (so blueprint.Once):
//
//   - delete: a controller made the object anew. Its UID is another, but who would
//     know which one the lost runner deleted? A repeat would delete the new object,
//     such as a claim with new data on it.
//   - create: the object did its work and is gone, such as a Job with
//     ttlSecondsAfterFinished. A repeat would have the work done twice.
//   - create: the arguments are rendered again, and a name in them that comes from
//     now, randAlphaNum or uuidv4 is another one. A repeat would make a second
//     object.
//   - patch: somebody has changed the field since. A repeat would take that back.
//
// The UID would have to be kept outside the cluster before the delete is sent, and
// the rendered arguments before the create; no function has such a store.
//
// The mark names the phase without its attempt, so that a further attempt goes on
// where the one before it stopped.
//
// Documents of a spec are created in order. If one fails, those before it stay,
// as with kubectl.
package kubeops
