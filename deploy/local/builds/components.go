// Package builds compiles the programs of the local cluster from the modules
// below deploy/local/build, each of which pins its versions in go.mod and
// go.sum. A program is compiled again only when its pins, its sources, the
// compiler or the flags changed.
package builds

import (
	"fmt"
	"slices"
	"strings"
)

// Component is a set of programs that come from one module.
type Component struct {
	Name     string   // the folder below deploy/local/build
	Packages []string // what to compile
	Outputs  []string // the programs that come out, in the order of Packages
	Links    []string // further names of the first program
	Tags     string
	LDFlags  string
	Files    []Files
	// Node says that Packages are commands of a Node.js project, installed by npm
	// from its package-lock.json instead of compiled.
	Node bool
}

// Files are files of a module that are needed as they are.
type Files struct {
	Module  string // its path; the component's go.mod says which version
	Pattern string // what to take, from the module's root, as for filepath.Glob
	Folder  string // the folder among the programs that they go to
}

const (
	kubernetesVersion = "1.37.2"
	versionPackage    = "k8s.io/component-base/version"
)

// Components returns all that is built, in the order in which a start of the
// cluster needs it.
func Components() []Component {
	return []Component{
		{
			Name: "etcd", Packages: []string{"."}, Outputs: []string{"etcd"},
		},
		{
			Name: "kubernetes", Packages: []string{"."}, Outputs: []string{"kubernetes"},
			Links: []string{
				"kube-apiserver", "kube-controller-manager", "kube-scheduler",
				"kubelet", "kube-proxy", "kubectl",
			},
			// The version the API server reports; clients and charts ask for it.
			LDFlags: fmt.Sprintf("-X %[1]s.gitVersion=v%[2]s -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=%[3]s -X %[1]s.gitTreeState=clean",
				versionPackage, kubernetesVersion, strings.Split(kubernetesVersion, ".")[1]),
		},
		{
			Name: "containerd",
			Packages: []string{
				"github.com/containerd/containerd/v2/cmd/containerd",
				"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
				"github.com/containerd/containerd/v2/cmd/ctr",
			},
			Outputs: []string{"containerd", "containerd-shim-runc-v2", "ctr"},
			Tags:    "no_btrfs,no_zfs,no_devmapper", // they need C libraries
		},
		{
			Name: "pause", Packages: []string{"."}, Outputs: []string{"pause"},
		},
		{
			Name: "coredns", Packages: []string{"."}, Outputs: []string{"coredns"},
		},
		{
			Name:     "provisioner",
			Packages: []string{"github.com/rancher/local-path-provisioner"},
			Outputs:  []string{"local-path-provisioner"},
		},
		{
			Name:     "s3",
			Packages: []string{"github.com/versity/versitygw/cmd/versitygw"},
			Outputs:  []string{"versitygw"},
		},
		{
			Name: "csi",
			Packages: []string{
				".",
				"github.com/kubernetes-csi/external-snapshotter/v8/cmd/snapshot-controller",
				"github.com/kubernetes-csi/external-snapshotter/v8/cmd/csi-snapshotter",
			},
			Outputs: []string{"csi-dir", "snapshot-controller", "csi-snapshotter"},
			// Those of groups of snapshots too: the controller waits for them.
			Files: []Files{{
				Module:  "github.com/kubernetes-csi/external-snapshotter/client/v8",
				Pattern: "config/crd/*snapshot.storage.k8s.io_*.yaml", Folder: "snapshot-crds",
			}},
		},
		{
			Name:     "csi-provisioner",
			Packages: []string{"github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner"},
			Outputs:  []string{"csi-provisioner"},
		},
		{
			Name:     "gcs",
			Packages: []string{"github.com/fsouza/fake-gcs-server"},
			Outputs:  []string{"fake-gcs-server"},
		},
		{
			Name: "azurite", Packages: []string{"azurite-blob"}, Outputs: []string{"azurite-blob"}, Node: true,
		},
		{
			Name: "helm", Packages: []string{"helm.sh/helm/v3/cmd/helm"}, Outputs: []string{"helm"},
			LDFlags: "-X helm.sh/helm/v3/internal/version.version=v3.22.0",
		},
	}
}

// Select returns the components of the given names, in build order; no name
// means all of them.
func Select(names []string) ([]Component, error) {
	all := Components()
	if len(names) == 0 {
		return all, nil
	}
	var known []string
	for _, component := range all {
		known = append(known, component.Name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("--only %s: no such component; there are %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(all, func(c Component) bool { return !slices.Contains(names, c.Name) }), nil
}
