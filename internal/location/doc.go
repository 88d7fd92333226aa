// Package location reads and writes objects in the stores that profiles point
// at: S3 and what is compatible with it, Google Cloud Storage, Azure Blob Storage
// and a local directory. It is the only package of the tree that opens buckets;
// gocloud.dev/blob and the providers' SDKs do the work.
//
// # Paths
//
// The key of an object is its path joined to the profile's prefix, without a
// leading slash. A path that climbs out ("..") or holds control characters is
// refused: such a key would mean different objects to different stores.
//
// # Push
//
// An object is there in whole or not at all. When the data cannot be read to its
// end, or the context is done, the write is cancelled and its parts are removed;
// what was under the key before is still there. Memory does not grow with the
// data, also when nobody knows the length in advance, as with a pipe:
//
//   - S3 and Azure get parts, S3 at most 10,000, Azure 50,000 blocks. They have 8 MiB
//     up to 39 GiB, through three buffers; then the size doubles every 500 parts,
//     and parts above 32 MiB go through one buffer. So an upload takes 24 MiB up to
//     39 GiB, at most 128 MiB up to 156 GiB and 1 GiB up to 1 TiB; the limit of S3,
//     5 TiB, fits, and so much into Azure too. That growth is why parts.go is
//     written here: gocloud's writers keep one size for the whole upload, which
//     would end at 78 GiB of 8 MiB parts, and that of S3 asks the store to drop the
//     parts of a cancelled upload under the cancelled context, so that they stay.
//   - Google takes one resumable upload in chunks of 8 MiB, up to 5 TiB.
//
// # Resuming
//
// A part that fails is sent again, for two minutes with growing pauses, and Google's
// chunk for four; a connection on which nothing moves any more is cut and counts as
// failed. A refusal (a wrong key, a missing bucket) is not repeated, and neither is
// the first request, beyond what the SDK does: until something is stored, giving up
// quickly loses nothing. Is the answer to the very last request lost, the object is
// recognised by a mark in its metadata instead of being reported as failed.
//
// Nothing is resumed by another process. The data of a pipe is gone with the
// process that read it, and what a dump gives a second time is other data, so that
// parts of both would make an object that is neither. A push that is started again
// begins again. What a killed process leaves shows nowhere as an object: Google
// drops it after a week, Azure too; on S3 a Delete of the path, or of one above it,
// removes it, as does a lifecycle rule of the bucket.
//
// # Identity
//
// A profile without a credential is used with the identity around the process; see
// package awsconf for AWS, and OwnPod for what a process that acts for many refuses.
//
// # Delete
//
// Deleting a/b removes the object a/b and all under a/b/. It does not touch a/bc,
// as Kanister does, which deletes by string prefix. What is not there is no error,
// so that a repeated delete action succeeds; a bucket that is not there is one.
// Unfinished uploads of the same keys go too, where the store lets us see them.
// Deleting without a path is refused: one unset variable in a script must not
// remove every backup below the prefix.
//
// # Errors
//
// The errors that remain name bucket, key and endpoint and say what to check, and no value of the
// credential is in them: the text is searched for each before it is shown.
package location
