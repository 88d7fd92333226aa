package arg_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
)

type reference struct {
	Name string `mapstructure:"name"`
}

type arguments struct {
	Image   string            `mapstructure:"image" arg:"required"`
	Command []string          `mapstructure:"command" arg:"required"`
	Wait    bool              `mapstructure:"wait"`
	Count   int               `mapstructure:"count"`
	Volumes map[string]string `mapstructure:"volumes"`
	Ref     reference         `mapstructure:"ref"`
	Items   []reference       `mapstructure:"items"`
	Any     any               `mapstructure:"any"`
}

func TestDecodeIsLenientLikeKanister(t *testing.T) {
	got := arguments{Wait: true, Count: 7}
	require.NoError(t, arg.Decode(map[string]any{
		"image":   3,
		"command": "ls",
		"volumes": map[any]any{"pvc": "/mnt"},
		"ref":     map[string]any{"name": 1.5, "unknown": true},
		"items":   []any{map[any]any{"NAME": "a"}},
		"any":     2.5,
		"other":   "ignored",
	}, &got))
	assert.Equal(t, arguments{
		Image: "3", Command: []string{"ls"}, Wait: true, Count: 7,
		Volumes: map[string]string{"pvc": "/mnt"}, Ref: reference{Name: "1.5"}, Items: []reference{{Name: "a"}}, Any: 2.5,
	}, got)

	require.NoError(t, arg.Decode(map[string]any{
		"image": "x", "command": []any{"sh", "-c", 1}, "wait": "false", "count": "12",
	}, &got))
	assert.Equal(t, []string{"sh", "-c", "1"}, got.Command)
	assert.False(t, got.Wait)
	assert.Equal(t, 12, got.Count)
}

func TestDecodeErrorsNameTheArgumentAndNoValue(t *testing.T) {
	tests := map[string]struct {
		args map[string]any
		want []string
	}{
		"missing":       {map[string]any{"command": nil}, []string{`argument "image" is missing: it must be text`, `argument "command" is missing: it must be a list`}},
		"map for text":  {map[string]any{"image": map[string]any{"a": "hunter2"}}, []string{`argument "image" must be text, not a map`}},
		"text for bool": {map[string]any{"wait": "hunter2"}, []string{`argument "wait" must be true or false`}},
		"text for int":  {map[string]any{"count": "hunter2"}, []string{`argument "count" must be a whole number`}},
		"fraction":      {map[string]any{"count": 2.5}, []string{`argument "count" must be a whole number`}},
		"text for map":  {map[string]any{"volumes": "hunter2"}, []string{`argument "volumes" must be a map, not text`}},
		"nested":        {map[string]any{"ref": map[string]any{"name": []any{"hunter2"}}}, []string{`argument "ref.name" must be text, not a list`}},
		"in a list":     {map[string]any{"items": []any{map[string]any{"name": "a"}, "hunter2"}}, []string{`argument "items[1]" must be a map`}},
		"two at once":   {map[string]any{"wait": "hunter2", "count": "hunter2"}, []string{`"wait"`, `"count"`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := arg.Decode(tt.args, &arguments{})
			for _, want := range tt.want {
				require.ErrorContains(t, err, want)
			}
			assert.NotContains(t, err.Error(), "hunter2")
			var failure *function.Error
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, event.ReasonInvalid, failure.Reason)
		})
	}
}

func TestReplicas(t *testing.T) {
	for _, v := range []any{3, int32(3), int64(3), uint8(3), 3.0, float32(3), "3", " 3\n"} {
		got, err := arg.Replicas("replicas", v)
		require.NoError(t, err, "%T", v)
		assert.Equal(t, int32(3), got)
	}
	for _, v := range []any{nil, -1, 2.5, 1e10, "", "2.5", "three", "-1", "0x1", true, []any{1}} {
		_, err := arg.Replicas("replicas", v)
		require.ErrorContains(t, err, `argument "replicas" must be a whole number from 0 to 2147483647`, "%v", v)
	}
}

func TestRequiredArgumentsOfEmbeddedStructs(t *testing.T) {
	type common struct {
		Prefix string `mapstructure:"prefix" arg:"required"`
	}
	var args struct {
		common `mapstructure:",squash"`

		Image string `mapstructure:"image" arg:"required"`
	}
	err := arg.Decode(map[string]any{}, &args)
	require.ErrorContains(t, err, `argument "prefix" is missing: it must be text`)
	require.ErrorContains(t, err, `argument "image" is missing`)
	require.NoError(t, arg.Decode(map[string]any{"prefix": "p", "image": "i"}, &args))
	assert.Equal(t, "p", args.Prefix)
}
