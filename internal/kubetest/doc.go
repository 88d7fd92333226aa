// Package kubetest gives a test a real Kubernetes API server: an etcd and a
// kube-apiserver of its own on free ports of 127.0.0.1, with RBAC on.
//
// What is real: admission, validation, defaulting, watches, CRDs with their
// schemas, status subresources, RBAC, field and label selectors, conflicts.
// What is not there, since neither controller-manager, scheduler nor kubelet
// runs: pods stay Pending, garbage collection by owner reference and deletion
// of a namespace's content do not happen, no default service account appears
// (its admission plugin is therefore off), and the aggregated ClusterRoles
// (view, edit, admin) stay empty: a test of RBAC brings its own roles.
//
// A start costs about four seconds, so a package shares one server and gives
// each test a namespace:
//
//	var server *kubetest.Server
//
//	func TestMain(m *testing.M) {
//		os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
//			server = s
//			return s.ApplyCRDs(context.Background(), "../deploy/chart/files/crds")
//		}))
//	}
//
//	func TestX(t *testing.T) {
//		namespace := server.Namespace(t)
//		client := kubernetes.NewForConfigOrDie(server.Config())
//		...
//	}
//
// A test of faults starts a server of its own: KillAPI and StartAPI, Snapshot and
// Restore of its etcd.
//
// The two programs are built by "make kubernetes" into .local/bin of the
// repository; SALVOR_LOCAL_BIN names another folder. A test fails when they
// are missing: a skipped test would look like a passed one.
//
// Both processes die with the test process, however that ends, and their data
// lives in a temporary folder.
package kubetest
