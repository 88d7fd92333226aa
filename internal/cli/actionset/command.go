package actionset

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/cli/app"
	"github.com/salvor-io/salvor/internal/cli/wait"
	"github.com/salvor-io/salvor/internal/kube"
)

// Command is "create actionset". The flags that all create commands share are
// bound to f by the caller.
func Command(a *app.App, f *Flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "actionset",
		Aliases: []string{"as"},
		Short:   "Create an ActionSet, from flags or from a complete one",
		Long: `Create an ActionSet: an action of a blueprint on one or more objects. With --from,
the objects, output artifacts, secrets, config maps, profile and options of a
complete ActionSet are taken over; what is given on the command line wins.`,
		Example: `  # Back up a stateful set and wait for the end
  salvor create actionset --action backup --blueprint postgres --statefulset db/postgres --profile s3 --wait

  # Restore what that ActionSet saved
  salvor create actionset --action restore --from backup-x7k2p

  # See what would be created
  salvor create actionset -a backup -b postgres -t db/postgres -o retention=7d --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return (&creator{app: a, flags: f}).run(cmd.Context())
		},
	}
	f.BindFlags(cmd.Flags())
	return cmd
}

type creator struct {
	app   *app.App
	flags *Flags
}

func (c *creator) run(ctx context.Context) error {
	namespace, err := c.app.Kube.CurrentNamespace()
	if err != nil {
		return err
	}
	request, err := c.flags.Parse(namespace)
	if err != nil {
		return err
	}
	offline := c.flags.DryRun && c.flags.SkipValidation && request.From == "" && request.Selector == ""
	var clients *kube.Clients
	if !offline {
		if clients, err = c.app.Kube.Clients(); err != nil {
			return err
		}
	}
	as, err := c.build(ctx, clients, request)
	if err != nil {
		return err
	}
	if !c.flags.SkipValidation {
		if err := c.verify(ctx, clients, as); err != nil {
			return err
		}
	}
	if c.flags.DryRun {
		return c.print(as)
	}
	return c.create(ctx, clients, as)
}

func (c *creator) build(ctx context.Context, clients *kube.Clients, r *Request) (*kanister.ActionSet, error) {
	if err := Select(ctx, clients, r); err != nil {
		return nil, err
	}
	var parent *kanister.ActionSet
	if r.From != "" {
		var err error
		parent, err = clients.ActionSets(r.Namespace).Get(ctx, r.From, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("--from: there is no ActionSet %s in namespace %s; see: salvor get -n %s", r.From, r.Namespace, r.Namespace)
		}
		if err != nil {
			return nil, fmt.Errorf("--from: read ActionSet %s/%s: %w", r.Namespace, r.From, err)
		}
		c.app.Verbosef("continuing ActionSet %s/%s", r.Namespace, r.From)
	}
	return Build(r, parent, rand.String(5))
}

func (c *creator) verify(ctx context.Context, clients *kube.Clients, as *kanister.ActionSet) error {
	v := &Verifier{
		Clients: clients,
		Library: c.flags.LibraryNamespace,
		Skipped: func(what string, err error) { c.app.Verbosef("cannot check %s: %v", what, err) },
	}
	if err := v.Verify(ctx, as); err != nil {
		return fmt.Errorf("%s (nothing was created; --skip-validation creates it all the same)", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	c.app.Verbosef("all that ActionSet %s names exists", as.Name)
	return nil
}

func (c *creator) print(as *kanister.ActionSet) error {
	text, err := yaml.Marshal(as)
	if err != nil {
		return fmt.Errorf("print the ActionSet: %w", err)
	}
	c.app.Printf("%s", text)
	return nil
}

func (c *creator) create(ctx context.Context, clients *kube.Clients, as *kanister.ActionSet) error {
	created, err := clients.ActionSets(as.Namespace).Create(ctx, as, metav1.CreateOptions{FieldManager: "salvor-cli", FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		return fmt.Errorf("create ActionSet %s/%s: %w", as.Namespace, as.Name, err)
	}
	if c.flags.Quiet {
		c.app.Printf("%s\n", created.Name)
	} else {
		c.app.Printf("actionset %s created\n", created.Name)
	}
	if !c.flags.Wait {
		return nil
	}
	progress := c.app.Out
	if c.flags.Quiet {
		progress = c.app.Err
	}
	w := &wait.Waiter{ActionSets: clients.ActionSets(created.Namespace), Clock: c.app.Clock, Out: progress}
	return w.Wait(ctx, created.Namespace, created.Name, c.flags.Timeout)
}
