package location_test

import (
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/azuretest"
	"github.com/salvor-io/salvor/internal/fixture/gcstest"
	"github.com/salvor-io/salvor/internal/fixture/s3test"
	"github.com/salvor-io/salvor/internal/location/locationtest"
	"github.com/salvor-io/salvor/internal/profile"
)

func TestS3(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	var buckets atomic.Int32
	locationtest.Run(t, locationtest.Harness{
		Profile: func(t *testing.T, prefix string) *profile.Profile {
			t.Helper()
			bucket := fmt.Sprintf("bucket-%d", buckets.Add(1))
			server.CreateBucket(t, bucket)
			return server.Profile(bucket, prefix)
		},
		Objects: func(t *testing.T, p *profile.Profile) []string {
			t.Helper()
			return server.Objects(t, p.Location.Bucket)
		},
		Pending: func(t *testing.T, p *profile.Profile) []string {
			t.Helper()
			return server.Uploads(t, p.Location.Bucket)
		},
		WrongCredential: func(p *profile.Profile) string {
			p.Credential.KeyPair.Secret = "wrong-c4n4ry-value"
			return p.Credential.KeyPair.Secret
		},
	})
}

func TestGCS(t *testing.T) {
	t.Parallel()
	server := gcstest.Start(t)
	var buckets atomic.Int32
	locationtest.Run(t, locationtest.Harness{
		FlatKeys: true,
		Profile: func(t *testing.T, prefix string) *profile.Profile {
			t.Helper()
			bucket := fmt.Sprintf("bucket-%d", buckets.Add(1))
			server.CreateBucket(t, bucket)
			return server.Profile(t, bucket, prefix)
		},
		Objects: func(t *testing.T, p *profile.Profile) []string {
			t.Helper()
			return server.Objects(t, p.Location.Bucket)
		},
		WrongCredential: func(p *profile.Profile) (secret string) {
			p.Credential.KeyPair.Secret, secret = server.RefusedKey(t)
			return secret
		},
	})
}

func TestAzure(t *testing.T) {
	t.Parallel()
	server := azuretest.Start(t)
	var containers atomic.Int32
	locationtest.Run(t, locationtest.Harness{
		FlatKeys: true,
		Profile: func(t *testing.T, prefix string) *profile.Profile {
			t.Helper()
			name := fmt.Sprintf("container-%d", containers.Add(1))
			server.CreateContainer(t, name)
			return server.Profile(name, prefix)
		},
		Objects: func(t *testing.T, p *profile.Profile) []string {
			t.Helper()
			return server.Objects(t, p.Location.Bucket)
		},
		WrongCredential: func(p *profile.Profile) string {
			p.Credential.KeyPair.Secret = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("wrong", 8)))
			return p.Credential.KeyPair.Secret
		},
	})
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	locationtest.Run(t, locationtest.Harness{
		Profile: func(t *testing.T, prefix string) *profile.Profile {
			t.Helper()
			return &profile.Profile{Location: profile.Location{
				Type: profile.LocationFilestore, Bucket: t.TempDir(), Prefix: prefix,
			}}
		},
		Objects: func(t *testing.T, p *profile.Profile) []string {
			t.Helper()
			return files(t, p.Location.Bucket)
		},
	})
}

// files returns every file below dir, whatever its name, so that what a failed
// write leaves behind is seen.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, filepath.ToSlash(path))
		}
		return err
	}))
	slices.Sort(names)
	return names
}
