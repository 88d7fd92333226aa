package pods

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// Options say where and for how long.
type Options struct {
	// OwnNamespace is where the pods of phases that name no namespace run:
	// Salvor's own. Required.
	OwnNamespace string
	// TaskServiceAccount is the service account of pods in OwnNamespace that name
	// none. Default empty: the namespace's default account. Kanister uses its
	// own account there, which lets whoever writes a Blueprint act as the
	// controller; set it to an account that may do what your blueprints do with
	// kubectl inside such pods, and no more.
	TaskServiceAccount string
	// PullTimeout is how long the kubelet may fail to pull the image, or to make
	// the container, counted from its first error. Default 90 s.
	PullTimeout time.Duration
	// StartTimeout is how long a pod may take to run: to find a node, to get its
	// volumes, to pull large images. Default 15 min, as in Kanister.
	StartTimeout time.Duration
	// SweepAge is how old a pod must be before a sweep may delete it. Default
	// 2 min.
	SweepAge time.Duration
}

// DefaultOptions returns the defaults.
func DefaultOptions() Options {
	return Options{PullTimeout: 90 * time.Second, StartTimeout: 15 * time.Minute, SweepAge: 2 * time.Minute}
}

// BindFlags adds the options' flags, with the present values as defaults.
func (o *Options) BindFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.TaskServiceAccount, "task-service-account", o.TaskServiceAccount,
		"service account of task pods in Salvor's own namespace whose blueprint names none; empty means that namespace's default account")
	fs.DurationVar(&o.PullTimeout, "image-pull-timeout", o.PullTimeout,
		"how long the kubelet may fail to pull a task's image or to make its container, from its first error")
	fs.DurationVar(&o.StartTimeout, "pod-start-timeout", o.StartTimeout, "how long a task's pod may take to run")
}

// Validate checks the options.
func (o *Options) Validate() error {
	switch {
	case o.OwnNamespace == "":
		return fmt.Errorf("the namespace that Salvor runs in is not known; set POD_NAMESPACE or pass --namespace")
	case o.PullTimeout <= 0:
		return fmt.Errorf("--image-pull-timeout is %s; it must be more than 0", o.PullTimeout)
	case o.StartTimeout < o.PullTimeout:
		return fmt.Errorf("--pod-start-timeout is %s; it must not be less than --image-pull-timeout (%s)", o.StartTimeout, o.PullTimeout)
	}
	return nil
}
