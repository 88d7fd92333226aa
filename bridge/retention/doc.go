// Package retention removes the backups that a trigger does not keep: first the data,
// by the blueprint's own action, then the ActionSet that stands for them.
//
//	ends of runs, ActionTriggers, every Interval ──► look at a namespace
//	    gather   ActionSets of the trigger, those that prune, who uses and who shares
//	    decide   pure: trigger.Retain, what is under way, what failed
//	    settle   pure: whose data others tell of too
//	    act      one write after another
//
// # How a backup goes
//
//	complete ──► prune is made ──► prune complete ──► backup deleted ──► prune deleted
//	                          └──► prune failed ──► the next attempt is made, later
//
// A prune is an ActionSet: the backup's own, with the action named by spec.keep.action
// and the artifacts that each action left. It runs as any other does. Where the
// templates of that action speak of .Namespace, as most of Kanister's own do, its
// object is the namespace of the backup's. Where a look
// begins follows from what is there, so a process may die anywhere: a prune's name is
// a hash of trigger, backup and attempt, and AlreadyExists means that it was made; a
// prune that is complete beside its backup means that the backup's ActionSet is to go;
// one without, that itself is. So there is never an artifact without an ActionSet: the
// backup's stays until the prune is complete, and the next attempt is made before the
// one that failed is deleted, which names the artifacts should somebody have deleted
// the backup's meanwhile. That attempt runs the action that the trigger names by then:
// who named a wrong one mends it there.
//
// # What never goes
//
//   - The newest good backup. What is being pruned counts as none, even if that
//     failed, since its data may be gone in part; and no failed prune is tried again
//     while there is no other good one.
//   - A backup whose artifacts an ActionSet that has not ended is given, in any
//     namespace: it waits. One created in the moment in which a prune is made is too
//     late, as it would be by hand.
//   - Data that another ActionSet of the namespace tells of too. If newer ones tell of
//     all of them, only the backup's ActionSet goes; the data go with the last of
//     them. Otherwise it stays, and the condition names the other (see settle).
//   - A backup whose blueprint is gone or has no such action: the condition says so.
//   - What failed and left artifacts: a person looks at that. What failed and left
//     none is counted by spec.keep.failed.
//   - What the trigger did not make: the label salvor.io/trigger must name it and the
//     annotation salvor.io/trigger-uid must have its UID. Taking the label off a backup
//     takes it out of retention, for good.
//
// A complete ActionSet without artifacts has no data that could be removed, so it is
// simply deleted. It is counted apart from those that left some, so that a blueprint
// which no longer says where it put the data pushes no backup out. Deletions are on the condition of UID and resource version.
//
// # Keys
//
// What a trigger made for different keys (spec.key) is counted apart: one database's
// last backup does not go because another has newer ones.
//
// # When nothing is begun
//
// A trigger that is suspended begins nothing: who suspends it wants everything to stay
// as it is, and rules by age would go on while no backup is added. For one that is
// gone, or has no spec.keep any more, nothing is begun either. What was begun is
// brought to its end in each case, except that nothing that failed is tried again.
//
// # Work is bounded
//
// A look reads pages of 100 and keeps some words of each ActionSet. The whole
// namespace is read only when data are to be removed, to see who shares them. InFlight
// bounds the prunes of a trigger; after a number of failing ones no other is begun.
package retention
