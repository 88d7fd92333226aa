// Package kubeexec has the functions KubeExec and KubeExecAll: a command in
// containers that are already there. Package podexec does it, and says what becomes of
// a command whose connection is lost.
package kubeexec
