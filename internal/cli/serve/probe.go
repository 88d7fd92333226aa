package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const probeTimeout = 5 * time.Second

// probes serves health, readiness and metrics.
type probes struct {
	listener net.Listener
	server   *http.Server
}

// listen opens the port, so that a port in use is an error at the start.
func listen(ctx context.Context, address string, metrics *registries, ready func() []state) (*probes, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--probe-listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n")) // the kubelet went away
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		code, text := report(ready())
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text)) // the kubelet went away
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		promhttp.HandlerFor(metrics.all(), promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
	return &probes{
		listener: listener,
		server:   &http.Server{Handler: mux, ReadHeaderTimeout: probeTimeout, IdleTimeout: time.Minute},
	}, nil
}

func (p *probes) serve() error {
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve probes: %w", err)
	}
	return nil
}

// state is the readiness of one part.
type state struct {
	part string
	err  error
}

func report(states []state) (code int, text string) {
	code = http.StatusOK
	var b strings.Builder
	for _, s := range states {
		if s.err == nil {
			fmt.Fprintf(&b, "%s: ok\n", s.part)
			continue
		}
		code = http.StatusServiceUnavailable
		fmt.Fprintf(&b, "%s: %v\n", s.part, s.err)
	}
	return code, b.String()
}
