package sink

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/stream"
)

const (
	// parallel is how many requests one sink gets at the same time.
	parallel = 8
	// inHand is how many events of one sink may wait for their delivery.
	inHand = 256
	// forget is after how long a sink that is not configured any more is forgotten.
	forget = 7 * 24 * time.Hour
	// ackWait is after how long the events of a bridge that was lost come again.
	ackWait = 30 * time.Second
	// hangUpTimeout bounds the wait for the end of reading, hangUpPause is that between
	// two looks.
	hangUpTimeout = time.Second
	hangUpPause   = 10 * time.Millisecond
	// pause before events are read again after a fault.
	pause = time.Second
)

// Config of Sinks. All fields are required but Metrics.
type Config struct {
	Events  *stream.Events
	Letters *stream.DeadLetters
	Clock   clock.WithTicker
	Log     zerolog.Logger
	Options Options
	// Namespaces whose runs are told of; none means all.
	Namespaces []string
	Metrics    *Metrics
}

// Sinks are all endpoints of a bridge.
type Sinks struct {
	sinks []*sink
}

// New returns sinks that do nothing until Run is called.
func New(c Config) (*Sinks, error) {
	targets, err := c.Options.targets()
	if err != nil {
		return nil, err
	}
	extensions, err := parseOverrides(c.Options.Overrides)
	if err != nil {
		return nil, err
	}
	authorities, err := c.Options.authorities()
	if err != nil {
		return nil, err
	}
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default HTTP transport was replaced")
	}
	all := &Sinks{}
	for _, t := range targets {
		transport := base.Clone()
		transport.MaxIdleConnsPerHost = parallel
		transport.TLSClientConfig = &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12}
		all.sinks = append(all.sinks, &sink{
			Config: c, target: t, extensions: extensions,
			log: c.Log.With().Str("sink", t.name).Logger(),
			client: &http.Client{
				Transport:     transport,
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			},
			slots: make(chan struct{}, parallel),
			lanes: map[string][]*delivery{},
			held:  map[uint64]*delivery{},
		})
	}
	return all, nil
}

// Run delivers until ctx ends and everything it started has ended.
func (s *Sinks) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, one := range s.sinks {
		running.Go(func() { one.run(ctx) })
	}
	<-ctx.Done()
	running.Wait()
	return nil
}

// consumerName is the same for bridges that serve the same namespaces, which share
// the deliveries.
func consumerName(t target, namespaces []string) string {
	name := "bridge-sink-" + t.key
	if len(namespaces) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(slices.Values(namespaces)), ",")))
	return name + "-" + hex.EncodeToString(sum[:5])
}
