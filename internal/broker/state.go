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

// descriptions of what Collector tells.
var (
	descReady = prometheus.NewDesc("salvor_broker_ready", "1 when the embedded broker works: alone, or current in a cluster that has a leader.", nil, nil)
	descMeta  = prometheus.NewDesc("salvor_broker_leader", "1 when this broker leads its cluster; 1 when it is alone.", nil, nil)
	descPeers = prometheus.NewDesc("salvor_broker_members", "Members of the cluster that this broker knows, itself included.", nil, nil)
	descDown  = prometheus.NewDesc("salvor_broker_members_offline", "Members of the cluster that are away, as the cluster's leader sees it; 0 on the others.", nil, nil)
	descBytes = prometheus.NewDesc("salvor_broker_store_bytes", "Bytes of messages in this broker's store.", nil, nil)
	descMsgs  = prometheus.NewDesc("salvor_broker_messages", "Messages in this broker's store.", nil, nil)
	descConns = prometheus.NewDesc("salvor_broker_connections", "Clients that are connected to this broker.", nil, nil)
	descErrs  = prometheus.NewDesc("salvor_broker_api_errors_total", "JetStream API requests that this broker refused.", nil, nil)
)

// Collector tells Prometheus of the server; nothing is asked between scrapes.
func (b *Broker) Collector() prometheus.Collector { return collector{b} }

type collector struct{ broker *Broker }

// Describe sends the descriptions.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect sends the values as they are now.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value)
	}
	gauge(descReady, number(c.broker.Ready() == nil))
	gauge(descConns, float64(c.broker.server.NumClients()))
	info, err := c.broker.server.Jsz(nil)
	if err != nil || info.Disabled {
		return
	}
	members, offline := members(info.Meta)
	gauge(descMeta, number(info.Meta == nil || info.Meta.Leader == c.broker.server.Name()))
	gauge(descPeers, float64(members))
	gauge(descDown, float64(offline))
	gauge(descBytes, float64(info.Bytes))
	gauge(descMsgs, float64(info.Messages))
	ch <- prometheus.MustNewConstMetric(descErrs, prometheus.CounterValue, float64(info.API.Errors))
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
