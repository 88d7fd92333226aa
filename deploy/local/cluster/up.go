package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/salvor-io/salvor/deploy/local/images"
)

const startLimit = 2 * time.Minute

type step struct {
	what string
	work func(context.Context) error
}

// Up starts the cluster, or finds that it runs and is well.
func (c *Cluster) Up(ctx context.Context) error {
	if err := c.preflight(); err != nil {
		return err
	}
	if err := c.checkOwner(); err != nil {
		return err
	}
	if c.running() {
		err := c.verifyHealth(ctx)
		if err == nil {
			c.out.Total("the local cluster was running and is well: export KUBECONFIG=%s", c.layout.Kubeconfig())
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.out.Title("The cluster that runs is not well (%v); starting it anew", err)
	}
	if err := c.runSteps(ctx, c.startSteps()); err != nil {
		return c.explain(ctx, err)
	}
	c.out.Total("local cluster up: export KUBECONFIG=%s", c.layout.Kubeconfig())
	return nil
}

// explain adds to the error of a start where to look and what to do.
func (c *Cluster) explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted; `make cluster` begins anew, `make cluster-down` removes what was started (%w)", ctx.Err())
	}
	if _, statErr := os.Stat(c.path("logs")); statErr != nil {
		return err // no program was started
	}
	return fmt.Errorf("%w\nthe programs' output is in %s; `make cluster-down` removes everything", err, c.path("logs"))
}

func (c *Cluster) startSteps() []step {
	loader := images.Loader{Layout: c.layout, Progress: c.out}
	return []step{
		{"remove what an earlier cluster left", c.remove},
		{"ports and networks are free", func(context.Context) error { return errors.Join(checkPorts(), overlaps()) }},
		{"certificates and configuration", func(context.Context) error { return c.prepare() }},
		{"network", c.makeNetwork},
		{"start etcd, API server and containerd", func(context.Context) error {
			return errors.Join(c.startEtcd(), c.startAPIServer(), c.startContainerd())
		}},
		{"containerd answers", c.wait(c.containerdAnswers, startLimit, containerd)},
		{"", func(ctx context.Context) error { return loader.Load(ctx, images.Base()) }},
		{"API server ready", c.waitAPI},
		{"start controllers, scheduler, kubelet and proxy", func(context.Context) error {
			return errors.Join(c.startController(), c.startScheduler(), c.startKubelet(), c.startProxy(!filtersBridge()))
		}},
		{"apply DNS and storage", c.applyManifests},
		{"", c.waitHealthy},
		{"write the kubeconfig", func(context.Context) error { return c.publishKubeconfig() }},
	}
}

// runSteps runs the steps; one without a name shows its own lines.
func (c *Cluster) runSteps(ctx context.Context, steps []step) error {
	for _, s := range steps {
		work := s.work
		if s.what != "" {
			work = func(ctx context.Context) error { return c.out.Step(ctx, s.what, s.work) }
		}
		if err := work(ctx); err != nil {
			return err
		}
	}
	return nil
}

// running tells whether every program of the cluster runs.
func (c *Cluster) running() bool {
	for _, name := range programNames() {
		if !c.programs.Running(name) {
			return false
		}
	}
	return true
}

func (c *Cluster) verifyHealth(ctx context.Context) error {
	checks, err := c.health()
	if err != nil {
		return err
	}
	for _, check := range checks {
		const patience = 5 * time.Second
		if err := c.out.Step(ctx, check.what, c.wait(check.hold, patience)); err != nil {
			return err
		}
	}
	return c.publishKubeconfig()
}

func (c *Cluster) waitHealthy(ctx context.Context) error {
	checks, err := c.health()
	if err != nil {
		return err
	}
	for _, check := range checks[1:] { // the API server is ready by now
		if err := c.out.Step(ctx, check.what, c.wait(check.hold, startLimit, programNames()...)); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) waitAPI(ctx context.Context) error {
	checks, err := c.health()
	if err != nil {
		return err
	}
	return c.wait(checks[0].hold, startLimit, etcd, apiserver)(ctx)
}

func (c *Cluster) prepare() error {
	if err := c.rememberFootprint(); err != nil {
		return err
	}
	return errors.Join(c.own(), c.makeCerts(), c.writeConfigs())
}

func (c *Cluster) makeNetwork(ctx context.Context) error {
	if err := makeNetwork(ctx); err != nil {
		return err
	}
	if !filtersBridge() {
		// Without the module, answers between pods would pass the bridge beside
		// the rules of services; kube-proxy then masquerades everything.
		_ = run(ctx, "", "modprobe", "br_netfilter")
	}
	return errors.Join(setKernel("net/ipv4/ip_forward", "1"), setKernel("net/bridge/bridge-nf-call-iptables", "1"))
}

// filtersBridge tells whether the rules of services see what passes the bridge.
func filtersBridge() bool {
	_, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables")
	return err == nil
}

func (c *Cluster) containerdAnswers(ctx context.Context) error {
	return run(ctx, "", c.layout.Program("ctr"), "--address", c.layout.Containerd(), "version")
}

// applyManifests renders the manifests of the cluster itself and applies them.
func (c *Cluster) applyManifests(ctx context.Context) error {
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	values := map[string]any{
		"DNSImage": images.CoreDNS, "DNSService": dnsService, "DNSDomain": dnsDomain,
		"Upstream":         upstream(string(resolv)),
		"ProvisionerImage": images.Provisioner, "ShellImage": images.Busybox,
		"Volumes": c.path("volumes"),
	}
	for _, file := range []string{"dns.yaml", "storage.yaml"} {
		parsed, err := template.New(file).Option("missingkey=error").ParseFiles(filepath.Join(c.layout.Manifests(), file))
		if err != nil {
			return fmt.Errorf("read a manifest: %w", err)
		}
		var rendered strings.Builder
		if err := parsed.Execute(&rendered, values); err != nil {
			return fmt.Errorf("render a manifest: %w", err)
		}
		if err := c.apply(ctx, rendered.String()); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) apply(ctx context.Context, manifest string) error {
	cmd := exec.CommandContext(ctx, c.layout.Program("kubectl"), "--kubeconfig", c.kubeconfig("admin"), "apply", "--filename=-")
	cmd.Stdin = strings.NewReader(manifest)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl apply: %w\n%s", err, said)
	}
	return nil
}

// publishKubeconfig puts the administrator's kubeconfig where people look for
// it, once the cluster is well.
func (c *Cluster) publishKubeconfig() error {
	content, err := os.ReadFile(c.kubeconfig("admin"))
	if err != nil {
		return err
	}
	aside := c.layout.Kubeconfig() + ".new"
	if err := os.WriteFile(aside, content, 0o600); err != nil {
		return err
	}
	return os.Rename(aside, c.layout.Kubeconfig())
}
