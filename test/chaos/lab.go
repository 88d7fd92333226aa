package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/test/harness"
)

// ownNamespace is Salvor's own namespace. The processes run outside the cluster, so
// there need be nothing in it.
const ownNamespace = "chaos-salvor"

// lab is what all scenarios share.
type lab struct {
	options   options
	tools     *harness.Tools
	clients   *kube.Clients
	namespace string
	// dir has everything that is kept of this run.
	dir   string
	out   io.Writer
	began time.Time
	// deadline is when killing stops, whatever was reached.
	deadline time.Time
	random   *rand.Rand
	flags    string // what `salvor serve --help` says
	commands string // what `salvor --help` says
	log      *record
	ledger   *ledger
	serials  int
	// fast makes fleets with short waits; otherwise they have the defaults of Salvor.
	fast bool
	// unsteady is set while programs of the cluster are killed.
	unsteady bool
}

// newLab connects to the cluster and makes it ready.
func newLab(ctx context.Context, o options, out io.Writer) (*lab, error) {
	tools, err := harness.Find("")
	if err != nil {
		return nil, err
	}
	now := time.Now()
	l := &lab{
		options: o, tools: tools, namespace: "chaos", out: out, began: now, deadline: now.Add(o.Limit),
		dir:    filepath.Join(tools.Root, ".local", "chaos"),
		random: rand.New(rand.NewPCG(o.Seed, o.Seed)), ledger: newLedger(),
	}
	if err := os.RemoveAll(l.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(l.effects(), 0o777); err != nil {
		return nil, err
	}
	if err := os.Chmod(l.effects(), 0o777); err != nil { // whatever the umask
		return nil, err
	}
	if err := os.WriteFile(l.lines(), nil, 0o666); err != nil {
		return nil, err
	}
	if err := os.Chmod(l.lines(), 0o666); err != nil {
		return nil, err
	}
	help, err := exec.CommandContext(ctx, o.Salvor, "serve", "--help").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s serve --help: %w\n%s", o.Salvor, err, help)
	}
	l.flags = string(help)
	if help, err = exec.CommandContext(ctx, o.Salvor, "--help").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s --help: %w\n%s", o.Salvor, err, help)
	}
	l.commands = string(help)
	config, err := clientcmd.BuildConfigFromFlags("", tools.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", tools.Kubeconfig, err)
	}
	config.Timeout = 10 * time.Second
	if l.clients, err = kube.New(config); err != nil {
		return nil, err
	}
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// has tells whether `salvor serve` has a flag.
func (l *lab) has(flag string) bool { return strings.Contains(l.flags, flag+" ") }

// can tells whether salvor has a command.
func (l *lab) can(command string) bool { return strings.Contains(l.commands, "\n  "+command+" ") }

func (l *lab) effects() string { return filepath.Join(l.dir, "effects") }
func (l *lab) lines() string   { return filepath.Join(l.effects(), "lines") }

// say prints a line with the time since the start.
func (l *lab) say(format string, args ...any) {
	since := time.Since(l.began)
	fmt.Fprintf(l.out, "%3d:%02d  %s\n", int(since.Minutes()), int(since.Seconds())%60, fmt.Sprintf(format, args...))
}

// prepare makes the namespace anew, with what runs need.
func (l *lab) prepare(ctx context.Context) error {
	if err := l.quietInstalled(ctx); err != nil {
		return err
	}
	if _, err := l.tools.Kubectl(ctx, "apply", "-f", filepath.Join("deploy", "chart", "files", "crds")); err != nil {
		return err
	}
	for _, namespace := range []string{l.namespace, ownNamespace} {
		if _, err := l.tools.Kubectl(ctx, "delete", "namespace", namespace, "--ignore-not-found", "--wait"); err != nil {
			return err
		}
		if _, err := l.tools.Kubectl(ctx, "create", "namespace", namespace); err != nil {
			return err
		}
	}
	if err := l.account(ctx); err != nil {
		return err
	}
	if err := l.tools.Apply(ctx, render(l.namespace, l.effects())); err != nil {
		return err
	}
	_, err := l.tools.Kubectl(ctx, "wait", "-n", l.namespace, "--for=condition=Ready", "pod/target", "--timeout=5m")
	return err
}

// account waits for the namespace's default account, without which no pod is made.
func (l *lab) account(ctx context.Context) error {
	return eventually(ctx, 3*time.Minute, "the namespace has its default account", func(ctx context.Context) bool {
		_, err := l.clients.Kube.CoreV1().ServiceAccounts(l.namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	})
}

// quietInstalled makes sure that no Salvor inside the cluster serves our namespace
// beside the processes under test, as the end-to-end tests leave one behind.
func (l *lab) quietInstalled(ctx context.Context) error {
	list, err := l.clients.Kube.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=salvor"})
	if err != nil {
		return fmt.Errorf("look for a Salvor in the cluster: %w", err)
	}
	for i := range list.Items {
		if err := l.scaleToZero(ctx, &list.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) scaleToZero(ctx context.Context, s *appsv1.StatefulSet) error {
	if s.Spec.Replicas != nil && *s.Spec.Replicas == 0 {
		return nil
	}
	l.say("Salvor is installed as %s/%s: scaled to 0; install it again to have it back", s.Namespace, s.Name)
	scale, err := l.clients.Kube.AppsV1().StatefulSets(s.Namespace).GetScale(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	scale.Spec.Replicas = 0
	if _, err := l.clients.Kube.AppsV1().StatefulSets(s.Namespace).UpdateScale(ctx, s.Name, scale, metav1.UpdateOptions{}); err != nil {
		return err
	}
	return eventually(ctx, 3*time.Minute, "the installed Salvor has ended", func(ctx context.Context) bool {
		pods, err := l.clients.Kube.CoreV1().Pods(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(s.Spec.Selector)})
		return err == nil && len(pods.Items) == 0
	})
}

// taskPods are the pods of runs that are there.
func (l *lab) taskPods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := l.clients.Kube.CoreV1().Pods(l.namespace).List(ctx, metav1.ListOptions{LabelSelector: labelRun})
	if err != nil {
		return nil, fmt.Errorf("list pods: %w", err)
	}
	return list.Items, nil
}

// replicas of the workload that a run scaled.
func (l *lab) replicas(ctx context.Context, name string) (int32, error) {
	d, err := l.clients.Kube.AppsV1().Deployments(l.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return 0, fmt.Errorf("read the workload: %w", err)
	}
	return *d.Spec.Replicas, nil
}

// eventually waits until something holds.
func eventually(ctx context.Context, limit time.Duration, what string, holds func(context.Context) bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !holds(ctx) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", what, limit)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// gone tells whether an error says that the object is not there.
func gone(err error) bool { return apierrors.IsNotFound(err) }
