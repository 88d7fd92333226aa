package runner

import (
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/blueprint"
)

func TestOptions(t *testing.T) {
	valid := func() Options {
		o := DefaultOptions()
		o.Name, o.Pods.OwnNamespace = "r1", "salvor"
		return o
	}
	o := valid()
	require.NoError(t, o.Validate())
	for want, change := range map[string]func(*Options){
		"--runner-pool":          func(o *Options) { o.Pool = "" },
		"--runner-slots":         func(o *Options) { o.Slots = 0 },
		"--runner-name":          func(o *Options) { o.Name = "" },
		"whole seconds":          func(o *Options) { o.ClaimTTL = 3500 * time.Millisecond },
		"at least 3s":            func(o *Options) { o.ClaimTTL = time.Second },
		"--runner-ack-wait":      func(o *Options) { o.AckWait = 0 },
		"--tools-image":          func(o *Options) { o.ToolsImage = "" },
		"SweepEvery":             func(o *Options) { o.SweepEvery = 0 },
		"--namespace":            func(o *Options) { o.Pods.OwnNamespace = "" },
		"--image-pull-timeout":   func(o *Options) { o.Pods.PullTimeout = 0 },
		"--pod-start-timeout is": func(o *Options) { o.Pods.StartTimeout = time.Second },
	} {
		o := valid()
		change(&o)
		require.ErrorContains(t, o.Validate(), want)
		_, err := New(Deps{}, o)
		require.ErrorContains(t, err, want)
	}
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.BindFlags(fs)
	require.NoError(t, fs.Parse([]string{"--runner-slots=5", "--runner-pool=big", "--image-pull-timeout=1m"}))
	assert.Equal(t, 5, o.Slots)
	assert.Equal(t, "big", o.Pool)
	assert.Equal(t, time.Minute, o.Pods.PullTimeout)
}

// Every function that a blueprint can be checked for can also be called.
func TestFunctionsAreThoseWithASignature(t *testing.T) {
	functions := Functions()
	for _, s := range blueprint.Signatures() {
		assert.Contains(t, functions, s.Name)
	}
	assert.Len(t, functions, len(blueprint.Signatures()))
}
