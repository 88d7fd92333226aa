package serve

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/broker"
	"github.com/salvor-io/salvor/internal/stream"
)

const (
	drainTimeout  = time.Second
	stopTimeout   = 3 * time.Second
	ensureTimeout = 15 * time.Second
	retryFirst    = 250 * time.Millisecond
	retryMost     = 10 * time.Second
)

// link is the connection and, when it is embedded, the broker behind it.
type link struct {
	broker *broker.Broker
	conn   *nats.Conn
	closed chan struct{}
	clock  clock.WithTicker
	// sync is when the servers sync, once it is known.
	sync syncing
}

// connect starts the broker where there is none, and connects.
func (s *Server) connect(ctx context.Context) (*link, error) {
	l := &link{closed: make(chan struct{}), clock: s.clock}
	var err error
	if s.options.NATSAuth != "" {
		if s.auth, err = broker.ReadAuth(s.options.NATSAuth); err != nil {
			return nil, fmt.Errorf("--nats-auth: %w", err)
		}
	}
	if s.options.Embedded() {
		options, err := s.brokerOptions()
		if err != nil {
			return nil, err
		}
		if l.broker, err = broker.Start(ctx, options); err != nil {
			return nil, fmt.Errorf("start the embedded broker: %w", err)
		}
	}
	settings := s.natsOptions(l)
	if l.broker != nil {
		l.conn, err = l.broker.Connect(settings...)
	} else {
		l.conn, err = nats.Connect(s.options.NATS, append(settings, s.auth.Client()...)...)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to NATS: %w", err), l.stopBroker())
	}
	return l, nil
}

func (s *Server) natsOptions(l *link) []nats.Option {
	log := s.log
	options := []nats.Option{
		nats.Name("salvor " + strings.Join(s.options.Roles, ",")),
		nats.MaxReconnects(-1),
		nats.RetryOnFailedConnect(true),
		// Otherwise the client closes itself for good when it is refused twice,
		// as happens while credentials are being exchanged on both sides.
		nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(retryFirst),
		nats.DrainTimeout(drainTimeout),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn().Err(err).Msg("lost the connection to NATS, reconnecting")
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			log.Info().Str("server", redact(c.ConnectedUrl())).Msg("connected to NATS again")
			s.look() // the store may be another one
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			event := log.Warn().Err(err)
			if sub != nil {
				event = event.Str("subject", sub.Subject)
			}
			event.Msg("NATS reports an error")
		}),
		nats.ClosedHandler(func(*nats.Conn) { close(l.closed) }),
	}
	if s.options.NATSCreds != "" {
		options = append(options, nats.UserCredentials(s.options.NATSCreds))
	}
	if s.options.NATSCA != "" {
		options = append(options, nats.RootCAs(s.options.NATSCA))
	}
	return options
}

// ensure creates or updates the streams, and tries until it has worked or ctx
// ends: a NATS cluster that is starting has no leader yet.
func (s *Server) ensure(ctx context.Context, js jetstream.JetStream) error {
	settings := stream.DefaultSettings()
	settings.Replicas = s.options.Replicas
	if s.options.member() {
		settings.NewReplicas = min(3, len(s.options.Broker.Routes))
	}
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		attempt, cancel := context.WithTimeout(ctx, ensureTimeout)
		err := stream.Ensure(attempt, js, settings)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err() // the process is asked to end
		}
		if err := s.again(ctx, wait, err); err != nil {
			return err
		}
	}
}

// again says what is wrong and waits; it returns an error when ctx ends.
func (s *Server) again(ctx context.Context, wait time.Duration, err error) error {
	s.setPhase("waiting for the streams: " + err.Error())
	s.log.Warn().Err(err).Dur("retryIn", wait).Msg("the streams are not in place yet")
	timer := s.clock.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err() // the process is asked to end
	case <-timer.C():
		return nil
	}
}

// close drains the connection and stops the broker. What was published is on
// the server afterwards, unless there is none.
func (l *link) close() error {
	err := l.conn.Drain()
	switch {
	case errors.Is(err, nats.ErrConnectionClosed):
		err = nil
	case err != nil: // not connected: there is nobody to drain to
		l.conn.Close()
		err = fmt.Errorf("drain the connection to NATS: %w", err)
	}
	<-l.closed // the client closes itself after drainTimeout at the latest
	return errors.Join(err, l.stopBroker())
}

// stopBroker leaves a broker behind that does not end: what it acknowledged is on
// the disk already.
func (l *link) stopBroker() error {
	if l.broker == nil {
		return nil
	}
	stopped := make(chan struct{})
	go func() { // ends with the broker, or with the process
		defer close(stopped)
		l.broker.Stop()
	}()
	timer := l.clock.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-stopped:
		return nil
	case <-timer.C():
		return fmt.Errorf("the broker did not stop within %s and was left behind", stopTimeout)
	}
}

// redact takes passwords out of a list of URLs.
func redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, text := range list {
		u, err := url.Parse(strings.TrimSpace(text))
		switch {
		case err != nil:
			list[i] = "(not a URL)"
		case u.User != nil:
			u.User = url.User("***")
			list[i] = u.String()
		}
	}
	return strings.Join(list, ",")
}
