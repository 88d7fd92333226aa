package broker

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// Cluster is what makes a server a member.
type Cluster struct {
	// Name of the cluster, the same for all members.
	Name string
	// Host and Port on which the other members reach this one.
	Host string
	Port int
	// Routes are the addresses of all members, this one included. Their number is
	// that of the votes when the cluster forms.
	Routes []*url.URL
	// Auth is what members show each other: user and password. The zero value
	// lets everybody be a member.
	Auth Auth
}

// folders of the server's store: that of the system account with the log of the
// members, and the other accounts with their streams.
const (
	jetstreamDir = "jetstream"
	systemDir    = "$SYS"
	streamsDir   = "streams"
)

// ErrAlone means that the store was written by a server alone.
var ErrAlone = errors.New("the store was written by a broker that was no member of a cluster")

func (c *Cluster) apply(s *server.Options, o *Options) error {
	if err := wasMember(o.StoreDir); err != nil {
		return err
	}
	if o.Port == 0 {
		s.DontListen, s.Host, s.Port = false, "127.0.0.1", server.RANDOM_PORT
		if o.Auth.Zero() {
			Auth{User: "salvor", Password: rand.Text()}.apply(s)
		}
	}
	s.Cluster = server.ClusterOpts{
		Name: c.Name, Host: c.Host, Port: c.Port,
		Username: c.Auth.User, Password: c.Auth.Password,
	}
	for _, route := range c.Routes {
		member := *route
		if c.Auth.User != "" {
			member.User = url.UserPassword(c.Auth.User, c.Auth.Password)
		}
		s.Routes = append(s.Routes, &member)
	}
	config, err := o.TLS.config(true)
	if err != nil {
		return err
	}
	s.Cluster.TLSConfig, s.Cluster.TLSTimeout = config, tlsTimeout
	return nil
}

// wasMember refuses a store with streams that no cluster knows: a member removes
// those as soon as it has met the others.
func wasMember(dir string) error {
	accounts, err := os.ReadDir(filepath.Join(dir, jetstreamDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the store: %w", err)
	}
	streams := false
	for _, account := range accounts {
		if account.Name() == systemDir {
			return nil
		}
		found, err := os.ReadDir(filepath.Join(dir, jetstreamDir, account.Name(), streamsDir))
		if err == nil && len(found) > 0 {
			streams = true
		}
	}
	if !streams {
		return nil
	}
	return fmt.Errorf("%s: %w, and a cluster would remove its streams: start without --broker-cluster-listen to go on alone, "+
		"or when nothing runs move the directory away and start again: runs that have not ended are made anew from their ActionSets", dir, ErrAlone)
}
