package profile

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	stores "github.com/salvor-io/salvor/internal/location"
	wire "github.com/salvor-io/salvor/internal/profile"
)

// checkLimit is how long the store may take.
const checkLimit = 30 * time.Second

// check opens the bucket with the keys that were given.
func (c *creator) check(ctx context.Context, x *access) (err error) {
	if x.keyless || x.ambient {
		c.app.Verbosef("the bucket is not checked: the Profile has the identity of the pods")
		return nil
	}
	if c.where.forRDS(x.location) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	p := &wire.Profile{
		Location: wire.Location{
			Type: wire.LocationType(x.location), Bucket: c.where.bucket, Endpoint: c.where.endpoint, Prefix: c.where.prefix, Region: c.where.region,
		},
		SkipSSLVerify: c.where.skipTLSVerify,
	}
	if x.whole == "" {
		p.Credential = wire.Credential{Type: wire.CredentialKeyPair, KeyPair: &wire.KeyPair{ID: x.data[x.idField], Secret: x.data[x.secretField]}}
	} else {
		p.Credential = wire.Credential{Type: wire.CredentialSecret, Secret: &wire.Secret{Type: string(x.whole), Data: map[string][]byte{}}}
		for key, value := range x.data {
			p.Credential.Secret.Data[key] = []byte(value)
		}
	}
	store, err := stores.Open(ctx, p, stores.OwnPod())
	if err == nil {
		defer func() { err = errors.Join(err, store.Close()) }()
		err = store.Check(ctx)
	}
	if name := onlyInside(err); name != "" {
		c.app.Warnf("%s is a name of the cluster's own, and is not known here: the bucket was not looked at", name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("the bucket cannot be used: %w (nothing was created; --skip-validation creates it all the same)", err)
	}
	return nil
}

// onlyInside is the host that only pods can find, if that is what err is about.
func onlyInside(err error) string {
	var lookup *net.DNSError
	if errors.As(err, &lookup) && lookup.IsNotFound && strings.Contains(lookup.Name+".", ".svc.") {
		return lookup.Name
	}
	return ""
}
