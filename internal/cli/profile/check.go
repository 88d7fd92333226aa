package profile

import (
	"context"
	"fmt"

	stores "github.com/salvor-io/salvor/internal/location"
	wire "github.com/salvor-io/salvor/internal/profile"
)

// check looks at the form of the keys that were given, and unless it is a dry run
// opens the bucket with them.
func (c *creator) check(ctx context.Context, x *access) error {
	switch {
	case x.ambient:
		if err := stores.CheckAzureEnvironment(x.data[wire.AzureStorageEnvironment]); err != nil {
			return fmt.Errorf("--storage-env: %w", err)
		}
		fallthrough
	case x.keyless:
		c.app.Verbosef("the bucket is not checked: the Profile has the identity of the pods")
		return nil
	}
	if c.where.forRDS(x.location) {
		return nil
	}
	p := c.profile(x)
	store, err := stores.Open(ctx, p, stores.OwnPod()) // makes no request
	if err != nil {
		return fmt.Errorf("%w (nothing was created; --skip-validation does not look)", err)
	}
	if err := store.Close(); err != nil || *c.shared.DryRun {
		return err
	}
	err = CheckBucket(ctx, p)
	if name := OnlyInside(err); name != "" {
		c.app.Warnf("%s is a name of the cluster's own, and is not known here: the bucket was not looked at", name)
		return nil
	}
	if err != nil {
		return fmt.Errorf("the bucket cannot be used: %w (nothing was created; --skip-validation creates it all the same)", err)
	}
	return nil
}

// profile is what a task pod would get.
func (c *creator) profile(x *access) *wire.Profile {
	p := &wire.Profile{
		Location: wire.Location{
			Type: wire.LocationType(x.location), Bucket: c.where.bucket, Endpoint: c.where.endpoint, Prefix: c.where.prefix, Region: c.where.region,
		},
		SkipSSLVerify: c.where.skipTLSVerify,
	}
	if x.whole == "" {
		p.Credential = wire.Credential{Type: wire.CredentialKeyPair, KeyPair: &wire.KeyPair{ID: x.data[x.idField], Secret: x.data[x.secretField]}}
		return p
	}
	p.Credential = wire.Credential{Type: wire.CredentialSecret, Secret: &wire.Secret{Type: string(x.whole), Data: map[string][]byte{}}}
	for key, value := range x.data {
		p.Credential.Secret.Data[key] = []byte(value)
	}
	return p
}
