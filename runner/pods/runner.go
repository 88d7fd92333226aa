package pods

import (
	"context"
	"fmt"
	"sync"

	"github.com/rs/zerolog"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// Deps are what a Runner is made from.
type Deps struct {
	Client kubernetes.Interface
	Clock  clock.WithTicker
	Log    zerolog.Logger
}

// Runner runs pods. It implements function.PodRunner. Serve must run while any
// other method is called.
type Runner struct {
	client  kubernetes.Interface
	clock   clock.WithTicker
	log     zerolog.Logger
	options Options
	watch   *watcher
	// openLog is replaced in tests: the fake client set has one log for all.
	openLog func(kubernetes.Interface, *podRef) opener

	mu sync.Mutex
	// made are the pods that this process may have made for an attempt and that
	// the informer may not know yet.
	made map[event.Key]map[types.NamespacedName]struct{}
}

var _ function.PodRunner = (*Runner)(nil)

// New returns a Runner.
func New(d Deps, o Options) (*Runner, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	w, err := newWatcher(d.Client)
	if err != nil {
		return nil, err
	}
	return &Runner{
		client: d.Client, clock: d.Clock, log: d.Log, options: o, watch: w,
		openLog: openPodLog,
		made:    map[event.Key]map[types.NamespacedName]struct{}{},
	}, nil
}

// Serve watches the pods until ctx ends and everything it started has ended.
func (r *Runner) Serve(ctx context.Context) error {
	r.watch.run(ctx)
	return nil
}

// Ready returns nil once the pods are known.
func (r *Runner) Ready() error {
	if !r.watch.informer.HasSynced() {
		return fmt.Errorf("the pods have not been listed yet; check that the API server is reachable and that pods may be listed and watched")
	}
	return nil
}

func (r *Runner) remember(k event.Key, name types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made[k] == nil {
		r.made[k] = map[types.NamespacedName]struct{}{}
	}
	r.made[k][name] = struct{}{}
}

// Leave forgets the pods of an attempt without touching them: another runner has
// taken it over, or will.
func (r *Runner) Leave(k event.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.made, k)
}

// Pods returns the names of the pods of an attempt, as namespace/name.
func (r *Runner) Pods(k event.Key) []string {
	var names []string
	for name := range r.names(k) {
		names = append(names, name.String())
	}
	return names
}

// names returns the pods of an attempt that this process made or that the
// informer knows.
func (r *Runner) names(k event.Key) map[types.NamespacedName]struct{} {
	names := map[types.NamespacedName]struct{}{}
	r.mu.Lock()
	for name := range r.made[k] {
		names[name] = struct{}{}
	}
	r.mu.Unlock()
	known, err := r.watch.byKey(k)
	if err != nil {
		r.log.Error().Err(err).Msg("pod index")
	}
	for _, pod := range known {
		names[nameOf(pod)] = struct{}{}
	}
	return names
}
