// Package procs is the server behind `kando process server` and its client: one
// container starts programs for others in the pod, keeps what they print, and
// hands it to whoever asks, as often as asked.
//
// # Protocol
//
// HTTP over a unix socket. Kanister speaks gRPC there; both ends are the same
// binary, so the wire is ours, and gRPC would add 8 MB to it.
//
//	POST /processes                {"name":"sh","args":["-c","…"]}  -> Process
//	GET  /processes                                                 -> [Process]
//	GET  /processes/{pid}                                           -> Process
//	POST /processes/{pid}/signal   {"signal":15}                    -> Process
//	GET  /processes/{pid}/stdout   follows to the end of the output
//	GET  /processes/{pid}/stderr   the same
//
// An error is {"error":"…"} with a status of 400 or above. An output that ends
// without HTTP's last chunk was cut, and the client says so.
//
// # Output
//
// Output goes through a pipe into a file, kando.*.stdout and kando.*.stderr in
// the temporary directory, and readers read the file. So memory does not depend on
// how much a program prints or how many read it, a slow reader holds up nobody,
// and a reader that comes late gets all of it. A reader waits for a signal that
// more was written, not for a timer. As with Kanister a process has ended when it
// and everything that holds its output have ended: what a background child of a
// shell prints last is not lost.
//
// # Who may ask
//
// The socket has mode 0600 from the moment its name is there, and each connection
// must come from the server's user or root. A socket that a dead server left is
// replaced; one that answers is not.
//
// # End
//
// When its context is done the server takes no more processes, sends SIGTERM to
// those that run, each with its children, and after the grace period SIGKILL. Their
// readers get the last of the output. Then files and socket are removed.
package procs
