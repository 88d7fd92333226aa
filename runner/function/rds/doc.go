// Package rds has the functions that take snapshots of databases in Amazon RDS, bring
// them back and dump them: CreateRDSSnapshot, DeleteRDSSnapshot,
// ExportRDSSnapshotToLocation and RestoreRDSSnapshot.
//
//	credentials   the arguments → who asks AWS, and where
//	client        one call's client: errors in words, waits, what AWS says in between
//	instances     what is done with instances            clusters   the same with Aurora
//	create, delete, restore, export                       one function each
//	dump          the pod that dumps a database, or reads a dump
//
// # Done again
//
// All of them may be repeated, because what they make bears names that derive from the
// phase: a repeat finds the snapshot of the attempt before, or the instance that it had
// restored, and goes on from there. A snapshot is of the moment when the first attempt
// asked for it.
//
// RestoreRDSSnapshot takes an instance away before it makes the new one. The new one
// carries a tag that names the phase, so that a repeat does not take that away in turn:
// somebody may be writing to it already. What it will need is looked at before anything
// is deleted: the snapshot has to be there and whole, and not be one of those that AWS
// takes by itself and deletes with their instance. Only one thing cannot be found out
// twice: the security groups of the instance that was deleted. A blueprint that passes
// securityGroupID, as all known ones do, does not depend on that; without it a repeat
// fails with an error that says so.
//
// ExportRDSSnapshotToLocation makes an instance for the dump alone and deletes it when
// the phase ends, whether well or not, or is cancelled. When the runner is lost or shut
// down it stays for the next one.
//
// # Waiting
//
// AWS has no events that could be waited for here, so it is asked, every 0.2 to 10
// seconds. There is no limit: a snapshot of a large database takes hours. The deadline
// of the phase is one. Throttling is answered by asking more slowly. Only when AWS does
// not answer at all for a quarter of an hour is that an error.
package rds
