// Package kubeops has the function KubeOps: create, delete and patch of any
// object.
//
// It may be run again after its runner was lost at any instant, whatever the
// operation:
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
// The mark names the phase without its attempt, so that a retry goes on where the
// attempt before it stopped.
//
// Documents of a spec are created in order. If one fails, those before it stay,
// as with kubectl.
package kubeops
