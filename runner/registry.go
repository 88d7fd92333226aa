package runner

import (
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/kubeexec"
	"github.com/salvor-io/salvor/runner/function/kubeops"
	"github.com/salvor-io/salvor/runner/function/kubetask"
	"github.com/salvor-io/salvor/runner/function/multicontainer"
	"github.com/salvor-io/salvor/runner/function/preparedata"
	"github.com/salvor-io/salvor/runner/function/scale"
	"github.com/salvor-io/salvor/runner/function/wait"
)

// Functions returns every function that a blueprint can call.
func Functions() function.Registry {
	return function.Registry{
		"KubeExec":          kubeexec.New,
		"KubeExecAll":       kubeexec.NewAll,
		"KubeOps":           kubeops.New,
		"KubeTask":          kubetask.New,
		"MultiContainerRun": multicontainer.New,
		"PrepareData":       preparedata.New,
		"ScaleWorkload":     scale.New,
		"Wait":              wait.New,
		"WaitV2":            wait.NewV2,
	}
}
