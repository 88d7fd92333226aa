package broker

import (
	"errors"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// Ready returns nil when the server works: alone, when its store is open; as a
// member, when the cluster has a leader and this member has all that it decided.
func (b *Broker) Ready() error {
	if !b.server.JetStreamEnabled() {
		return errors.New("JetStream is off: its store failed or the server is stopping")
	}
	if !b.clustered {
		return nil
	}
	info, err := b.server.Jsz(nil)
	switch {
	case err != nil:
		return errors.New("the state of JetStream is not known: " + err.Error())
	case info.Meta == nil || info.Meta.Leader == "":
		return errors.New("the cluster has no leader: it waits for a majority of its members")
	case !b.server.JetStreamIsCurrent():
		return errors.New("this member has not caught up with the cluster's leader yet")
	}
	return nil
}

// Collector tells Prometheus of the server; nothing is asked between scrapes.
func (b *Broker) Collector() prometheus.Collector { return collector{b} }

type collector struct{ broker *Broker }

// Describe sends the descriptions.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect sends the values as they are now.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	send := func(kind prometheus.ValueType, name string, value float64, help string) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("salvor_broker_"+name, help, nil, nil), kind, value)
	}
	gauge := func(name string, value float64, help string) { send(prometheus.GaugeValue, name, value, help) }
	s := c.broker.server
	gauge("ready", number(c.broker.Ready() == nil), "1 when the embedded broker works: alone, or current in a cluster that has a leader.")
	gauge("connections", float64(s.NumClients()), "Clients that are connected to this broker.")
	info, err := s.Jsz(nil)
	if err != nil || info.Disabled {
		return
	}
	known, offline := members(info.Meta)
	gauge("leader", number(info.Meta == nil || info.Meta.Leader == s.Name()), "1 when this broker leads its cluster; 1 when it is alone.")
	gauge("members", float64(known), "Members of the cluster that this broker knows, itself included.")
	gauge("members_offline", float64(offline), "Members of the cluster that are away, as the cluster's leader sees it; 0 on the others.")
	gauge("store_bytes", float64(info.Bytes), "Bytes of messages in this broker's store.")
	gauge("messages", float64(info.Messages), "Messages in this broker's store.")
	send(prometheus.CounterValue, "api_errors_total", float64(info.API.Errors), "JetStream API requests that this broker refused.")
}

func members(meta *server.MetaClusterInfo) (all, offline int) {
	if meta == nil {
		return 1, 0
	}
	for _, peer := range meta.Replicas {
		if peer.Offline {
			offline++
		}
	}
	return meta.Size, offline
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
