package stream

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Copies is how one stream is kept, as the servers report it.
type Copies struct {
	Stream string
	// Created is when the stream was made. One that was lost and made again has
	// another time.
	Created time.Time
	// Missing says that there is no such stream.
	Missing bool
	// Replicas is how many copies are asked for.
	Replicas int
	// Current is how many servers have everything now, the leader included.
	Current int
	// Clustered says that the servers are a cluster.
	Clustered bool
	// InMemory says that the copies are in memory only.
	InMemory bool
}

// Survey asks for the state of every stream, in the order of Names.
func Survey(ctx context.Context, js jetstream.JetStream) ([]Copies, error) {
	var all []Copies
	for _, name := range Names() {
		info, err := find(ctx, js, name)
		if err != nil {
			return nil, err
		}
		if info == nil {
			all = append(all, Copies{Stream: name, Missing: true})
			continue
		}
		all = append(all, copies(info))
	}
	return all, nil
}

func copies(info *jetstream.StreamInfo) Copies {
	c := Copies{
		Stream: info.Config.Name, Created: info.Created, Replicas: info.Config.Replicas, Current: 1,
		InMemory: info.Config.Storage == jetstream.MemoryStorage,
	}
	if info.Cluster == nil || info.Cluster.Name == "" {
		return c
	}
	c.Clustered = true
	if info.Cluster.Leader == "" {
		c.Current = 0
	}
	for _, replica := range info.Cluster.Replicas {
		if keepsUp(replica) {
			c.Current++
		}
	}
	return c
}

// Under load the server seldom finds a replica to be current: a few messages are
// always on their way to it.
const (
	lagLimit    = 256
	silentLimit = 10 * time.Second
)

func keepsUp(replica *jetstream.PeerInfo) bool {
	return !replica.Offline && (replica.Current || replica.Lag <= lagLimit && replica.Active < silentLimit)
}
