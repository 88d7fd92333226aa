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
//   - S3 takes at most 10,000 parts. They have 16 MiB up to 78 GiB, through four
//     buffers; then the size doubles every 500 parts, and parts above 64 MiB go
//     through one buffer. So an upload takes 64 MiB up to 78 GiB, at most 256 MiB
//     up to 312 GiB and 1 GiB up to 1 TiB; the limit of S3, 5 TiB, fits. That
//     growth is why the multipart upload is written here: the transfer manager
//     below gocloud's writer keeps one part size for the whole upload, which would
//     end at 156 GiB of 16 MiB parts, and it asks the store to drop the parts of a
//     cancelled upload under the cancelled context, so that they stay.
//   - Azure takes at most 50,000 blocks, of 16 MiB here: 780 GiB.
//   - Google takes one resumable upload in chunks of 16 MiB, up to 5 TiB.
//
// # Delete
//
// Deleting a/b removes the object a/b and all under a/b/. It does not touch a/bc,
// as Kanister does, which deletes by string prefix. What is not there is no error,
// so that a repeated delete action succeeds; a bucket that is not there is one.
// Deleting without a path is refused: one unset variable in a script must not
// remove every backup below the prefix.
//
// # Errors
//
// Requests are retried by the SDKs as their makers see fit. The errors that remain
// name bucket, key and endpoint and say what to check, and no value of the
// credential is in them: the text is searched for each before it is shown.
package location
