//go:build e2e

// Package e2e proves what Salvor promises on a real cluster: real API server,
// kubelet and containers, the release installed from the chart. Run it with
// `make e2e`; it uses the cluster of KUBECONFIG, or the one of `make cluster`.
//
// Tests share one release and one namespace each, so they run side by side. Only
// the tests that kill Salvor run alone.
package e2e
