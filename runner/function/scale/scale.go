package scale

import (
	"context"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/function/arg"
	"github.com/salvor-io/salvor/runner/function/object"
)

// Name of the function.
const Name = "ScaleWorkload"

// OutputOriginal is the key of the output: how many replicas there were before
// the phase first started.
const OutputOriginal = "originalReplicaCount"

// New returns a ScaleWorkload for one call.
func New() function.Function { return &scaleWorkload{} }

type scaleWorkload struct{}

type arguments struct {
	Replicas     any    `mapstructure:"replicas" arg:"required"`
	Namespace    string `mapstructure:"namespace"`
	Name         string `mapstructure:"name"`
	Kind         string `mapstructure:"kind"`
	WaitForReady bool   `mapstructure:"waitForReady"`
}

// Execute implements function.Function.
func (*scaleWorkload) Execute(ctx context.Context, call *function.Call) (map[string]any, error) {
	w, waits, err := parse(call)
	if err != nil {
		return nil, err
	}
	original, err := w.set(ctx)
	if err != nil {
		return nil, err
	}
	if waits {
		if err := w.wait(ctx, original > w.replicas || w.replicas == 0); err != nil {
			return nil, err
		}
	}
	return map[string]any{OutputOriginal: original}, nil
}

// workload is what to scale, and to what.
type workload struct {
	*object.Object
	call     *function.Call
	kind     kind
	replicas int64
}

func parse(call *function.Call) (*workload, bool, error) {
	args := arguments{WaitForReady: true}
	if err := arg.Decode(call.Args, &args); err != nil {
		return nil, false, err
	}
	replicas, err := arg.Replicas("replicas", args.Replicas)
	if err != nil {
		return nil, false, err
	}
	if err := fillIn(&args, call); err != nil {
		return nil, false, err
	}
	k, ok := kindOf(args.Kind)
	if !ok {
		return nil, false, function.Errorf(event.ReasonInvalid, "argument \"kind\" must be deployment, statefulset or deploymentconfig, not %q", args.Kind)
	}
	target, err := object.Find(call.Kube, object.Reference{
		APIVersion: k.version, Group: k.group, Kind: k.name, Name: args.Name, Namespace: args.Namespace,
	}, "")
	if err != nil {
		return nil, false, err
	}
	return &workload{Object: target, call: call, kind: k, replicas: int64(replicas)}, args.WaitForReady, nil
}

// fillIn takes what the arguments leave out from the object of the action.
func fillIn(args *arguments, call *function.Call) error {
	ref := call.Values.ObjectRef()
	if _, ok := kindOf(ref.Kind); ok {
		for _, f := range []struct {
			to   *string
			from string
		}{{&args.Kind, ref.Kind}, {&args.Name, ref.Name}, {&args.Namespace, ref.Namespace}} {
			if *f.to == "" {
				*f.to = f.from
			}
		}
	}
	var missing []string
	for _, f := range []struct{ name, value string }{{"kind", args.Kind}, {"name", args.Name}, {"namespace", args.Namespace}} {
		if f.value == "" {
			missing = append(missing, f.name)
		}
	}
	if len(missing) > 0 {
		return function.Errorf(event.ReasonInvalid,
			"the workload is not known: set %s, or run the action on a Deployment, StatefulSet or DeploymentConfig", strings.Join(missing, ", "))
	}
	return nil
}

// set writes the count and the note, and returns the count before the phase
// first started.
func (w *workload) set(ctx context.Context) (int64, error) {
	var original int64
	client := w.Client(w.call.Kube)
	err := retry.OnError(conflicts(), apierrors.IsConflict, func() error {
		now, err := client.Get(ctx, w.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := deleted(w, now); err != nil {
			return err
		}
		current := specReplicas(now)
		first, again := readNote(now, w.call.Key)
		original = current
		if again {
			original = first
		}
		if current == w.replicas {
			return nil
		}
		if !again {
			writeNote(now, w.call.Key, original)
		}
		if err := unstructured.SetNestedField(now.Object, w.replicas, "spec", "replicas"); err != nil {
			return fmt.Errorf("set spec.replicas: %w", err)
		}
		_, err = client.Update(ctx, now, metav1.UpdateOptions{FieldManager: "salvor"})
		return err
	})
	if err != nil {
		return 0, w.failed(ctx, err, "scale %s to %d", w, w.replicas)
	}
	w.call.Log.Info().Stringer("workload", w).Int64("from", original).Int64("to", w.replicas).Msg("scaled")
	return original, nil
}

// conflicts is how often to read and write again when somebody else wrote in
// between, as a controller does that updates the status.
func conflicts() wait.Backoff {
	return wait.Backoff{Steps: 10, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.2, Cap: time.Second}
}

func deleted(w *workload, now *unstructured.Unstructured) error {
	if now == nil || now.GetDeletionTimestamp() != nil {
		return function.Errorf(event.ReasonNotFound, "%s is deleted", w)
	}
	return nil
}

// failed wraps an error; the end of ctx is told by its cause.
func (w *workload) failed(ctx context.Context, err error, format string, args ...any) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return function.FromAPI(err, format, args...)
}

// specReplicas is spec.replicas, which is 1 when it is left out.
func specReplicas(o *unstructured.Unstructured) int64 {
	n, ok, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if err != nil || !ok {
		return 1
	}
	return n
}
