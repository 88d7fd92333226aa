// Command kubernetes is the whole of Kubernetes in one binary: the first
// argument, or the name it is called by, says which program to be. One binary
// links once and shares everything the programs have in common, which halves
// the build and the disk.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	_ "time/tzdata" // time zones for CronJob on a machine without tzdata

	"github.com/spf13/cobra"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // credential plugins of kubectl
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

func main() {
	name, args := program(os.Args)
	run, known := programs()[name]
	if !known {
		fmt.Fprintf(os.Stderr, "unknown program %q; the first argument, or the name of the link, is one of: %s\n",
			name, strings.Join(names(), ", "))
		os.Exit(2)
	}
	// The programs read os.Args themselves, so the dispatching argument goes.
	os.Args = append([]string{name}, args...)
	os.Exit(run())
}

// program tells which program the command line asks for and what is left of it.
func program(argv []string) (string, []string) {
	base := filepath.Base(argv[0])
	if _, linked := programs()[base]; linked || len(argv) < 2 {
		return base, argv[1:]
	}
	return argv[1], argv[2:]
}

func programs() map[string]func() int {
	return map[string]func() int{
		"kube-apiserver":          service(apiserver.NewAPIServerCommand),
		"kube-controller-manager": service(controllermanager.NewControllerManagerCommand),
		"kube-scheduler":          service(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kubelet":                 service(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
		"kube-proxy":              service(proxy.NewProxyCommand),
		"kubectl":                 kubectl,
	}
}

func names() []string {
	var all []string
	for name := range programs() {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}

func service(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

func kubectl() int {
	// The verbosity counts while the command tree is built, before flags are parsed.
	if _, err := logs.GlogSetter(cmd.GetLogVerbosity(os.Args)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	util.CheckErr(cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()))
	return 0
}
