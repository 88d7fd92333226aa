package request

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/wait"
	"github.com/salvor-io/salvor/internal/kube"
)

// fieldManager is the name under which the annotations and labels are set.
const fieldManager = "salvor-cli"

// change of an ActionSet's metadata; a nil value removes.
type change struct {
	annotations map[string]*string
	labels      map[string]*string
	// done says for a person what was asked for.
	done string
}

// asker asks for one thing. It returns nil when it is so already, having said so.
type asker func(as *kanister.ActionSet) (*change, error)

// target is where the ActionSets are.
type target struct {
	app       *app.App
	clients   *kube.Clients
	namespace string
}

func newTarget(a *app.App) (*target, error) {
	namespace, err := a.Kube.CurrentNamespace()
	if err != nil {
		return nil, err
	}
	clients, err := a.Kube.Clients()
	if err != nil {
		return nil, err
	}
	return &target{app: a, clients: clients, namespace: namespace}, nil
}

// each asks for the same of several ActionSets; the errors of some do not keep
// the others from being asked.
func (t *target) each(ctx context.Context, names []string, ask asker) error {
	var errs []error
	code := app.ExitOK
	for _, name := range names {
		if err := t.ask(ctx, name, ask); err != nil {
			errs = append(errs, err)
			code = max(code, app.Code(err))
		}
	}
	return app.WithCode(code, errors.Join(errs...))
}

func (t *target) ask(ctx context.Context, name string, ask asker) error {
	as, err := t.clients.ActionSets(t.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && !kube.NotServed(err) {
		return app.WithCode(app.ExitNotFound, fmt.Errorf("there is no ActionSet %s in namespace %s", name, t.namespace))
	}
	if err != nil {
		return fmt.Errorf("read ActionSet %s/%s: %w", t.namespace, name, err)
	}
	wanted, err := ask(as)
	if err != nil {
		return fmt.Errorf("ActionSet %s/%s %w", t.namespace, name, err)
	}
	metadata := map[string]any{"uid": as.UID} // another one of the same name is not meant
	if wanted.annotations != nil {
		metadata["annotations"] = wanted.annotations
	}
	if wanted.labels != nil {
		metadata["labels"] = wanted.labels
	}
	patch, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("encode the request: %w", err)
	}
	_, err = t.clients.ActionSets(t.namespace).Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("change ActionSet %s/%s: %w", t.namespace, name, err)
	}
	t.app.Printf("actionset %s %s\n", name, wanted.done)
	return nil
}

// waiting are the flags of a command that can wait for the end.
type waiting struct {
	wait    bool
	timeout time.Duration
}

func (w *waiting) bind(fs *pflag.FlagSet) {
	fs.BoolVar(&w.wait, "wait", false, "wait until the run has ended, showing its phases")
	fs.DurationVar(&w.timeout, "timeout", 15*time.Minute, "how long to wait, 0 for ever")
}

// follow waits for the end of one ActionSet.
func (t *target) follow(ctx context.Context, name string, w waiting, change func(*wait.Waiter)) error {
	waiter := &wait.Waiter{ActionSets: t.clients.ActionSets(t.namespace), Clock: t.app.Clock, Out: t.app.Out}
	change(waiter)
	return waiter.Wait(ctx, t.namespace, name, w.timeout)
}

func state(as *kanister.ActionSet) kanister.State {
	if as.Status == nil {
		return ""
	}
	return as.Status.State
}

// names are the arguments of a command that takes at least one ActionSet.
func names(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s takes the name of an ActionSet; see: %s --help", cmd.Name(), cmd.CommandPath())
	}
	return nil
}

// oneName is names for exactly one.
func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes the name of one ActionSet; see: %s --help", cmd.Name(), cmd.CommandPath())
	}
	return nil
}
