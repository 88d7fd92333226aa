package runner

import (
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/kubetask"
	"github.com/salvor-io/salvor/runner/function/preparedata"
)

// Functions returns every function that a blueprint can call.
func Functions() function.Registry {
	return function.Registry{
		"KubeTask":    kubetask.New,
		"PrepareData": preparedata.New,
	}
}
