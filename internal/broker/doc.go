// Package broker runs the embedded JetStream server, alone or as a member of a
// cluster of such servers: every acknowledged message on the disk (sync_interval
// always), because an acknowledged backup event that a power failure forgets is a
// backup that never happens.
//
// # A server alone and a member
//
// A server alone has one copy of everything on one volume. Members elect a leader
// and keep as many copies as a stream has replicas; with three of them one may be
// away. Which one a server is, is written in its store: a member throws away
// streams that its cluster does not know, so a store of a server alone is refused
// (ErrAlone) rather than emptied. The other way round is harmless.
//
// # Who may connect
//
// A server alone listens only when it is asked to. Members have to be reached by
// each other, and whoever reaches a member's port may become a member and read and
// write everything: Options.Cluster.Auth and TLS are what keeps others out, on the
// clients' port Options.Auth. The credentials are read from files, so that no
// command line shows them.
//
// # The end
//
// A member that stops hands over what it leads (NATS calls it lame duck), because
// the others would otherwise miss it only after the election timeout of seconds.
package broker
