// Command chaos kills Salvor's processes at every boundary and counts effects.
//
//	make chaos                                  300 kills, what CI runs
//	CHAOS_RUNS=1000 make chaos                  the long run
//	CHAOS_ONLY=runner.after-claim make chaos    one boundary only
//	CHAOS_SEED=7 make chaos                     the same random numbers again
//	bin/chaos/chaos -h                          all flags
//
// # How effects are counted
//
// The runs' commands append a line with the run, the step and who did it (the UID
// of the pod, or a number drawn by the command) to a file on the node: a step that
// was done twice left two lines, one that was lost left none. A ScaleWorkload is
// counted by the workload. Package tally has the rule that compares the lines with
// what ActionSets say, and makes the table.
//
// # How processes are killed
//
// Salvor is built with the tag failpoint and runs on this machine, outside the
// cluster, with the cluster's kubeconfig, so that a process is killed and started
// again within a second. At a failpoint the process kills itself with SIGKILL, when
// the harness has armed that point and a run comes by; elsewhere the harness kills
// it. There are always runs under way: load.go starts new ones while fewer than a
// number are, of all kinds, some that fail, some that are cancelled.
//
//	recovery   the only process, with runs under way and none added, and Salvor's
//	           default settings: how long after its readiness it goes on
//	wiped      the only process, and its store is removed: 50 runs must end
//	allinone   the only process, at each failpoint and at any moment
//	apart      each role is a process, two runners
//	r3         one of three brokers in a cluster
//	cluster    kube-apiserver and kubelet of the local cluster
//
// allinone and apart run with a short --runner-ack-wait and --runner-claim-ttl, so
// that more of each process' life is spent in taking over. They also turn the
// parking of poison jobs off, because an innocent job may well meet three kills.
//
// # What fails it
//
// Anything lost, duplicated, stuck, ended otherwise than planned or left behind, a
// failpoint at which nothing was ever killed, and a process that ended without being
// killed. Then the story of each such run is printed, and the logs are kept in
// .local/chaos until the next time.
//
// It needs the local cluster, because it reads the file on the node and kills the
// cluster's programs. A Salvor that is installed there is scaled to zero.
package main
