// Package failpoint names the boundaries at which losing the process matters: the
// steps between which a message, an object or a file has changed on one side only.
//
// In an ordinary build Here does nothing and costs nothing. Built with the tag
// failpoint (make chaos does) it reads, at each call, which point is armed from the
// directory that SALVOR_FAILPOINTS names, and ends the process with SIGKILL there: no deferred call runs, no
// buffer is flushed, as at a power failure. The directory's files are
//
//	armed       the name of a point and at which call of it to kill, "name 3"
//	reached/    one empty file for each point that was reached
//	killed/     one line for each kill, in a file named after the point
//
// It is the one package with state of its own and the one that reads the
// environment outside cmd: points lie deep inside code that must not know of them,
// and only a build made for the purpose has them.
package failpoint
