package profile

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	stores "github.com/salvor-io/salvor/internal/location"
	wire "github.com/salvor-io/salvor/internal/profile"
)

// checkLimit is how long the store may take.
const checkLimit = 30 * time.Second

// CheckBucket lists the bucket of p, and writes an object to it and deletes it.
func CheckBucket(ctx context.Context, p *wire.Profile) error {
	ctx, cancel := context.WithTimeout(ctx, checkLimit)
	defer cancel()
	store, err := stores.Open(ctx, p, stores.OwnPod())
	if err != nil {
		return err
	}
	return errors.Join(store.Check(ctx), store.Close())
}

// OnlyInside is the host that only pods can find, if that is what err is about.
func OnlyInside(err error) string {
	var lookup *net.DNSError
	if !errors.As(err, &lookup) || !lookup.IsNotFound {
		return ""
	}
	if strings.Contains(lookup.Name+".", ".svc.") || !strings.Contains(lookup.Name, ".") {
		return lookup.Name
	}
	return ""
}
