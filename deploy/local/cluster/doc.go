// Package cluster starts and stops a one-node Kubernetes on this machine:
// etcd, API server, controller manager, scheduler, containerd, kubelet,
// kube-proxy, DNS and a default storage class, each the real program.
//
// # Start
//
// Up is a list of steps. What can be waited for is waited for by asking the
// program itself (/readyz, a DNS query, the object in the API), never by
// sleeping. A second Up on a running cluster checks its health and returns; in
// any other case everything stale is removed first and the cluster begins
// anew, since a cluster on one's own machine is cheaper to make than to mend.
//
// # Stop
//
// Down does not trust its records: it stops what they name, then everything
// that carries the cluster's mark in its environment, then everything in the
// cluster's cgroup, in which containerd runs and the kubelet puts every pod.
// Then come mounts, interfaces, nft tables, cgroups, kernel settings and
// folders. At the end it looks for each of these again and fails naming what
// is left. It therefore works as well after a crash and when nothing runs.
//
// # One per machine
//
// The bridge, the nft tables of kube-proxy and the ports exist once. The file
// owner in the run folder names the state folder of the cluster that has them;
// Up of another checkout refuses while that cluster lives.
package cluster
