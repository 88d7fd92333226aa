// Package csitest gives a test storage whose volumes can be snapshotted, beside a
// kubetest server: the CSI driver csi-dir, whose volumes are folders, the real
// csi-provisioner, csi-snapshotter and snapshot-controller, and those of
// Kubernetes' controllers that bind claims. A claim of the StorageClass csi-dir gets
// a volume, a VolumeSnapshot of it a copy, and a claim from that a volume with the
// copy in it. There is no kubelet: a test writes into a volume's folder itself.
//
//	storage, err := csitest.Start(ctx, server)
//	claim := storage.Claim(t, namespace, "data")
//	os.WriteFile(filepath.Join(storage.Folder(t, claim), "x"), …)
package csitest
