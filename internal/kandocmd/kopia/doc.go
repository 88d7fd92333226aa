// Package kopia stores data in a Kopia repository with the kopia program of the
// image. Kanister's kando has Kopia's library inside. That library is larger than
// all of this kando, for a kind of profile that few use, and the program speaks the
// same protocol and writes the same snapshots: a stream is a directory with one
// file, named by the last element of the path, so that either tool reads the
// other's.
//
// A snapshot is the result of data that was read to its end, or does not exist:
// when the data breaks off, the program is killed before its standard input is
// closed, because to it the end of input is the end of the data.
//
// Kopia applies the retention policy of the repository after each snapshot, and
// would one day remove backups that the artifacts of an ActionSet still name. So
// each is pinned, and goes when its delete action says so. (Kanister leaves the
// policy out.)
//
// The password goes through the environment, configuration and cache live in a
// directory that is removed, and what the program says on stderr is quoted in
// errors without the password.
package kopia
