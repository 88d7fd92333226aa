package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/fixture/outtest"
	"github.com/salvor-io/salvor/internal/kube"
)

// role is a part that does what the test says.
type role struct {
	deps    Deps
	started chan struct{}
	run     func(ctx context.Context, d Deps) error
	mu      sync.Mutex
	ready   error
}

func newRole(run func(context.Context, Deps) error) *role {
	return &role{started: make(chan struct{}), run: run}
}

func (r *role) Run(ctx context.Context) error {
	close(r.started)
	return r.run(ctx, r.deps)
}

func (r *role) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ready
}

func (r *role) setReady(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ready = err
}

func (r *role) constructor(name string) Constructor {
	return Constructor{Name: name, New: func(_ context.Context, d Deps) (Role, error) {
		r.deps = d
		return r, nil
	}}
}

// untilEnd is what a well-behaved role does.
func untilEnd(ctx context.Context, _ Deps) error {
	<-ctx.Done()
	return nil
}

func options(t *testing.T, roles ...Constructor) Config {
	t.Helper()
	var names []string
	for _, r := range roles {
		names = append(names, r.Name)
	}
	o := DefaultOptions(names)
	o.DataDir = t.TempDir()
	o.ProbeListen = freeAddress(t)
	o.noSync = true
	return Config{Options: o, Roles: roles, Clock: clock.RealClock{}, Log: zerolog.Nop(), Version: "v1.2.3"}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().String()
}

// process is a server that runs.
type process struct {
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, c Config) *process {
	t.Helper()
	s, err := New(c)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	p := &process{stop: stop, done: make(chan error, 1)}
	go func() { p.done <- s.Run(ctx) }()
	t.Cleanup(stop)
	return p
}

func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.done:
		return err
	case <-time.After(3 * time.Minute):
		require.FailNow(t, "the server did not end")
		return nil
	}
}

func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

func TestStartReadyStop(t *testing.T) {
	first, second := newRole(untilEnd), newRole(untilEnd)
	first.setReady(errors.New("the cache is not filled"))
	c := options(t, first.constructor("bridge"), second.constructor("runner"))
	var log outtest.Buffer
	c.Log = zerolog.New(&log)
	p := start(t, c)
	<-first.started
	<-second.started

	code, body := get(t, c.Options.ProbeListen, "/healthz")
	assert.Equal(t, 200, code, body)
	code, body = get(t, c.Options.ProbeListen, "/readyz")
	assert.Equal(t, 503, code)
	assert.Equal(t, "nats: ok\nbridge: the cache is not filled\nrunner: ok\n", body)
	first.setReady(nil)
	code, body = get(t, c.Options.ProbeListen, "/readyz")
	assert.Equal(t, 200, code, body)

	require.NoError(t, first.deps.Metrics.Register(prometheus.NewCounter(prometheus.CounterOpts{Name: "salvor_test_total", Help: "x"})))
	code, body = get(t, c.Options.ProbeListen, "/metrics")
	assert.Equal(t, 200, code)
	assert.Contains(t, body, "salvor_test_total 0")
	assert.Contains(t, body, "go_goroutines")

	_, err := first.deps.JS.Stream(t.Context(), event.StreamRuns)
	require.NoError(t, err, "the streams are in place when a role starts")
	assert.Nil(t, first.deps.Clients, "nobody needs the cluster")

	require.Eventually(t, func() bool { return strings.Contains(log.String(), "one copy") }, 3*time.Minute, 10*time.Millisecond,
		"what an acknowledgement is worth is said beside the roles, not before them")
	p.stop()
	p.stop() // twice is as good as once
	require.NoError(t, p.wait(t))
	code, body = get(t, c.Options.ProbeListen, "/healthz")
	assert.Zero(t, code, "nothing serves after the end: %s", body)
	for _, want := range []string{`"version":"v1.2.3"`, `one copy, on the disk within 2m0s`, `"sync":"every 2m0s"`, `"roles":["bridge","runner"]`, `"message":"ended"`} {
		assert.Contains(t, log.String(), want)
	}
}

func TestTheStoreIsClosedAndComesBack(t *testing.T) {
	publish := newRole(func(ctx context.Context, d Deps) error {
		_, err := d.JS.Publish(ctx, event.EventSubject("shop", "x.y"), []byte("kept"))
		if err != nil {
			return err
		}
		return errors.New("done")
	})
	c := options(t, publish.constructor("runner"))
	require.EqualError(t, start(t, c).wait(t), "the runner ended: done")

	var messages uint64
	read := newRole(func(ctx context.Context, d Deps) error {
		s, err := d.JS.Stream(ctx, event.StreamEvents)
		if err != nil {
			return err
		}
		messages = s.CachedInfo().State.Msgs
		return errors.New("done")
	})
	again := options(t, read.constructor("runner"))
	again.Options.DataDir = c.Options.DataDir
	require.EqualError(t, start(t, again).wait(t), "the runner ended: done")
	assert.EqualValues(t, 1, messages)
}

func TestOneRoleEndsAll(t *testing.T) {
	for name, c := range map[string]struct {
		run  func(context.Context, Deps) error
		want string
	}{
		"an error": {func(context.Context, Deps) error { return errors.New("the API server refuses the token") }, "the bridge ended: the API server refuses the token"},
		"nothing":  {func(context.Context, Deps) error { return nil }, "the bridge ended by itself"},
		"a panic":  {func(context.Context, Deps) error { panic("nil map") }, "the bridge panicked: nil map"},
	} {
		t.Run(name, func(t *testing.T) {
			var ended bool
			other := newRole(func(ctx context.Context, _ Deps) error {
				<-ctx.Done()
				ended = true
				return ctx.Err()
			})
			err := start(t, options(t, newRole(c.run).constructor("bridge"), other.constructor("runner"))).wait(t)
			require.EqualError(t, err, c.want)
			assert.True(t, ended, "the other role was ended")
		})
	}
}

func TestARoleThatCannotBeMade(t *testing.T) {
	c := options(t, Constructor{Name: "runner", New: func(context.Context, Deps) (Role, error) { return nil, errors.New("no pool") }})
	require.EqualError(t, start(t, c).wait(t), "start the runner: no pool")
	c = options(t, Constructor{Name: "runner", NeedsCluster: true})
	c.Clients = func() (*kube.Clients, error) { return nil, errors.New("no cluster is configured") }
	require.EqualError(t, start(t, c).wait(t), "no cluster is configured")
}

func TestEndBeforeTheStart(t *testing.T) {
	r := newRole(untilEnd)
	s, err := New(options(t, r.constructor("bridge")))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, s.Run(ctx))
	select {
	case <-r.started:
		assert.Fail(t, "the role was started")
	default:
	}
}

func TestEndWhileNATSIsAway(t *testing.T) {
	r := newRole(untilEnd)
	c := options(t, r.constructor("bridge"))
	c.Options.NATS = "nats://someone:secret@" + freeAddress(t)
	var log outtest.Buffer
	c.Log = zerolog.New(&log)
	p := start(t, c)
	require.Eventually(t, func() bool {
		_, body := get(t, c.Options.ProbeListen, "/readyz")
		return strings.Contains(body, "start: waiting for the streams") || strings.Contains(body, "start: creating the streams")
	}, 3*time.Minute, 20*time.Millisecond)
	code, _ := get(t, c.Options.ProbeListen, "/healthz")
	assert.Equal(t, 200, code, "a restart would not help")
	p.stop()
	require.NoError(t, p.wait(t))
	assert.NotContains(t, log.String(), "secret")
}

func TestNATSComesLate(t *testing.T) {
	address := freeAddress(t)
	r := newRole(untilEnd)
	c := options(t, r.constructor("bridge"))
	c.Options.NATS = "nats://" + address
	p := start(t, c)
	host, port, err := hostPort(address)
	require.NoError(t, err)
	b, err := broker.Start(t.Context(), broker.Options{StoreDir: t.TempDir(), Host: host, Port: port, NoSync: true})
	require.NoError(t, err)
	t.Cleanup(b.Stop)
	select {
	case <-r.started:
	case err := <-p.done:
		require.FailNow(t, "ended", "%v", err)
	case <-time.After(3 * time.Minute):
		require.FailNow(t, "the role was never started")
	}
	p.stop()
	require.NoError(t, p.wait(t))
}

func TestOtherProcessesUseTheEmbeddedBroker(t *testing.T) {
	first := newRole(untilEnd)
	c := options(t, first.constructor("bridge"))
	c.Options.NATSListen = freeAddress(t)
	p := start(t, c)
	<-first.started

	nc, err := nats.Connect("nats://" + c.Options.NATSListen)
	require.NoError(t, err)
	defer nc.Close()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	_, err = js.Stream(t.Context(), event.StreamJobs)
	require.NoError(t, err)

	second := newRole(untilEnd)
	other := options(t, second.constructor("runner"))
	other.Options.NATS = "nats://" + c.Options.NATSListen
	q := start(t, other)
	<-second.started
	q.stop()
	require.NoError(t, q.wait(t))
	p.stop()
	require.NoError(t, p.wait(t))
}

func TestARoleThatDoesNotEndIsLeftBehind(t *testing.T) {
	release := make(chan struct{})
	stuck := newRole(func(context.Context, Deps) error {
		<-release
		return nil
	})
	good := newRole(untilEnd)
	c := options(t, good.constructor("bridge"), stuck.constructor("runner"))
	fake := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	c.Clock = fake
	p := start(t, c)
	<-stuck.started
	p.stop()
	require.Eventually(t, func() bool {
		_, body := get(t, c.Options.ProbeListen, "/readyz")
		return strings.Contains(body, "start: ending")
	}, 3*time.Minute, time.Millisecond)
	fake.Step(c.Options.Grace)
	err := p.wait(t)
	close(release)
	require.ErrorContains(t, err, "did not end within 7s and was left behind")
	require.ErrorContains(t, err, "runner")
}

func TestThePortIsTaken(t *testing.T) {
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	c := options(t, newRole(untilEnd).constructor("bridge"))
	c.Options.ProbeListen = l.Addr().String()
	require.ErrorContains(t, start(t, c).wait(t), "--probe-listen: listen tcp")
}

func TestOptionsAreChecked(t *testing.T) {
	for want, change := range map[string]func(*Options){
		`--roles: "x" is not one of bridge, runner`: func(o *Options) { o.Roles = []string{"bridge", "x"} },
		"--roles: name at least one of bridge":      func(o *Options) { o.Roles = nil },
		"--data-dir is required":                    func(o *Options) { o.DataDir = "" },
		"--replicas 3 needs a NATS cluster":         func(o *Options) { o.Replicas = 3 },
		"--replicas 6 is not between":               func(o *Options) { o.Replicas, o.NATS = 6, "nats://x" },
		"--nats and --nats-listen exclude":          func(o *Options) { o.NATSListen, o.NATS = ":4222", "nats://x" },
		"--nats-creds is for --nats":                func(o *Options) { o.NATSCreds = "x" },
		"--nats-creds and --nats-auth exclude":      func(o *Options) { o.NATS, o.NATSCreds, o.NATSAuth = "nats://x", "a", "b" },
		"--nats and --roles broker exclude":         func(o *Options) { o.NATS, o.Roles = "nats://x", []string{"bridge", "broker"} },
		"--nats and the flags --broker-":            func(o *Options) { o.NATS, o.Broker.ClusterListen = "nats://x", ":6222" },
		"--roles broker alone needs --nats-listen":  func(o *Options) { o.Roles = []string{"broker"} },
		"--nats-ca is for --nats":                   func(o *Options) { o.NATSCA = "x" },
		"-cert and --broker-tls-key belong":         func(o *Options) { o.Broker.TLS.Cert = "x" },
		"need --broker-cluster-listen":              func(o *Options) { o.Broker.Routes = []string{"a:1"} },
		`--broker-cluster-listen: "6222" is not`:    func(o *Options) { member(o); o.Broker.ClusterListen = "6222" },
		"name all members of the cluster":           func(o *Options) { member(o); o.Broker.Routes = []string{"a:1"} },
		`--broker-routes: "nats://a" is not`:        func(o *Options) { member(o); o.Broker.Routes[0] = "a" },
		"do not belong on a command line":           func(o *Options) { member(o); o.Broker.Routes[0] = "nats://a:b@c:1" },
		"--replicas 4 needs as many servers":        func(o *Options) { member(o); o.Replicas = 4 },
		`--broker-name: "" is not a name`:           func(o *Options) { member(o); o.Broker.Name = "" },
		`--broker-cluster: "" is not a name`:        func(o *Options) { member(o); o.Broker.Cluster = "" },
		"--broker-tls-cert needs --broker-tls-ca":   func(o *Options) { member(o); o.Broker.TLS.Cert, o.Broker.TLS.Key = "x", "y" },
		`--nats-listen: "4222" is not host:port`:    func(o *Options) { o.NATSListen = "4222" },
		`--probe-listen: "" is not host:port`:       func(o *Options) { o.ProbeListen = "" },
		`--log-level: "loud"`:                       func(o *Options) { o.LogLevel = "loud" },
		`--log-format: "xml"`:                       func(o *Options) { o.LogFormat = "xml" },
		"--namespace is empty":                      func(o *Options) { o.Namespace = "" },
		"--shutdown-grace 0s is not positive":       func(o *Options) { o.Grace = 0 },
		"--kube-qps and --kube-burst":               func(o *Options) { o.QPS = 0 },
	} {
		c := options(t, newRole(untilEnd).constructor("bridge"), newRole(untilEnd).constructor("runner"))
		change(&c.Options)
		_, err := New(c)
		require.ErrorContains(t, err, want)
	}
}

// member makes the options those of a member of a cluster.
func member(o *Options) {
	o.Broker = Broker{Name: "b0", Cluster: "c", ClusterListen: ":6222", Routes: []string{"a:1", "nats://b:1", "c:1"}}
}

func TestRolesAreConfiguredThenValidated(t *testing.T) {
	var namespace string
	c := options(t, Constructor{
		Name:      "runner",
		Configure: func(s Settings) { namespace = s.Namespace },
		Validate:  func() error { return errors.New("--slots is 0 in " + namespace) },
	}, Constructor{Name: "bridge", Validate: func() error { return errors.New("not picked, not asked") }})
	c.Options.Roles, c.Options.Namespace = []string{"runner"}, "mine"
	_, err := New(c)
	require.EqualError(t, err, "options of the runner: --slots is 0 in mine")
}

func TestFlagsOfRoles(t *testing.T) {
	var a, b string
	var n int
	fs := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	require.NoError(t, bindRoles(fs, []Constructor{
		{Name: "bridge", BindFlags: func(fs *pflag.FlagSet) { fs.StringVar(&a, "library", "salvor", "") }},
		{Name: "none"},
		{Name: "runner", BindFlags: func(fs *pflag.FlagSet) {
			fs.StringVar(&b, "library", "salvor", "")
			fs.IntVar(&n, "slots", 8, "")
		}},
	}))
	require.NoError(t, fs.Parse([]string{"--library", "lib", "--slots", "9"}))
	assert.Equal(t, "lib", a)
	assert.Equal(t, "lib", b)
	assert.Equal(t, 9, n)

	err := bindRoles(fs, []Constructor{{Name: "other", BindFlags: func(fs *pflag.FlagSet) { fs.String("slots", "8", "") }}})
	require.EqualError(t, err, `the flag --slots means one thing to serve (int, default "8") and another to other (string, default "8")`)
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	o := DefaultOptions([]string{"bridge"})
	log := o.Logger(&out)
	log.Debug().Msg("not this")
	log.Info().Msg("this")
	assert.Contains(t, out.String(), `"message":"this"`)
	assert.NotContains(t, out.String(), "not this")
	out.Reset()
	o.LogFormat, o.LogLevel = "console", "debug"
	log = o.Logger(&out)
	log.Debug().Msg("for people")
	assert.Contains(t, out.String(), "for people")
	assert.NotContains(t, out.String(), `{`)
}
