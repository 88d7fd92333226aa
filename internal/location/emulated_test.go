package location_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/fixture/proctest"
	"github.com/salvor-io/salvor/internal/location/locationtest"
	"github.com/salvor-io/salvor/internal/profile"
)

// TestGCS runs when the emulator has been built; a normal run does without it,
// because building it takes minutes on a small machine.
func TestGCS(t *testing.T) {
	binary, ok := proctest.LocalBin(t, "fake-gcs-server")
	if !ok {
		t.Skip("fake-gcs-server is not built: go install github.com/fsouza/fake-gcs-server@v1.56.1 into .local/bin")
	}
	endpoint := "http://" + proctest.Serve(t, binary, func(address string) []string {
		host, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		return []string{
			"-scheme", "http", "-backend", "memory", "-host", host, "-port", port,
			"-public-host", address, "-external-url", "http://" + address, "-log-level", "error",
		}
	})
	tokens := tokenServer(t)
	var buckets atomic.Int32
	locationtest.Run(t, locationtest.Harness{
		FlatKeys: true,
		Profile: func(t *testing.T, prefix string) *profile.Profile {
			t.Helper()
			bucket := fmt.Sprintf("bucket-%d", buckets.Add(1))
			post(t, endpoint+"/storage/v1/b", map[string]string{"name": bucket})
			return &profile.Profile{
				Location: profile.Location{Type: profile.LocationGCS, Bucket: bucket, Endpoint: endpoint, Prefix: prefix},
				Credential: profile.Credential{Type: profile.CredentialKeyPair, KeyPair: &profile.KeyPair{
					ID: "project", Secret: serviceKey(t, tokens+"/token"),
				}},
			}
		},
		Objects: func(t *testing.T, p *profile.Profile) []string {
			t.Helper()
			return gcsObjects(t, endpoint, p.Location.Bucket)
		},
		WrongCredential: func(p *profile.Profile) string {
			p.Credential.KeyPair.Secret = serviceKey(t, tokens+"/refuse")
			var key struct {
				PrivateKey string `json:"private_key"`
			}
			require.NoError(t, json.Unmarshal([]byte(p.Credential.KeyPair.Secret), &key))
			return key.PrivateKey[40:60]
		},
	})
}

// tokenServer is Google's token service: it gives a token, or refuses.
func tokenServer(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/token" {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`)
			return
		}
		_, _ = io.WriteString(w, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func serviceKey(t *testing.T, tokenURL string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	data, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "project", "client_email": "backup@project.iam.gserviceaccount.com",
		"private_key_id": "1", "private_key": string(block), "token_uri": tokenURL,
	})
	require.NoError(t, err)
	return string(data)
}

func post(t *testing.T, url string, body any) {
	t.Helper()
	data, err := json.Marshal(body)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(data))
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

func gcsObjects(t *testing.T, endpoint, bucket string) []string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint+"/storage/v1/b/"+bucket+"/o?maxResults=5000", http.NoBody)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, resp.Body.Close()) }()
	var list struct {
		Items []struct {
			Name string `json:"name"`
		} `json:"items"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&list))
	var names []string
	for _, item := range list.Items {
		names = append(names, item.Name)
	}
	slices.Sort(names)
	return names
}

// The account every installation of Azurite has; its key is public.
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// TestAzure runs when SALVOR_TEST_AZURITE names Azurite's azurite-blob; a normal
// run does without it, because it needs Node.js.
func TestAzure(t *testing.T) {
	binary := os.Getenv("SALVOR_TEST_AZURITE")
	if binary == "" {
		t.Skip("set SALVOR_TEST_AZURITE to the path of azurite-blob (npm install azurite)")
	}
	_, err := exec.LookPath(binary)
	require.NoError(t, err)
	dir := t.TempDir()
	endpoint := "http://" + proctest.Serve(t, binary, func(address string) []string {
		host, port, err := net.SplitHostPort(address)
		require.NoError(t, err)
		return []string{"--silent", "--skipApiVersionCheck", "--location", dir, "--blobHost", host, "--blobPort", port}
	})
	credential, err := azblob.NewSharedKeyCredential(azuriteAccount, azuriteKey)
	require.NoError(t, err)
	client, err := azblob.NewClientWithSharedKeyCredential(endpoint+"/"+azuriteAccount, credential, nil)
	require.NoError(t, err)
	var containers atomic.Int32
	locationtest.Run(t, locationtest.Harness{
		FlatKeys: true,
		Profile: func(t *testing.T, prefix string) *profile.Profile {
			t.Helper()
			name := fmt.Sprintf("container-%d", containers.Add(1))
			_, err := client.CreateContainer(t.Context(), name, nil)
			require.NoError(t, err)
			return &profile.Profile{
				Location:   profile.Location{Type: profile.LocationAzure, Bucket: name, Endpoint: endpoint, Prefix: prefix},
				Credential: profile.Credential{Type: profile.CredentialKeyPair, KeyPair: &profile.KeyPair{ID: azuriteAccount, Secret: azuriteKey}},
			}
		},
		Objects: func(t *testing.T, p *profile.Profile) []string {
			t.Helper()
			var names []string
			for pager := client.NewListBlobsFlatPager(p.Location.Bucket, nil); pager.More(); {
				page, err := pager.NextPage(t.Context())
				require.NoError(t, err)
				for _, item := range page.Segment.BlobItems {
					names = append(names, *item.Name)
				}
			}
			slices.Sort(names)
			return names
		},
		WrongCredential: func(p *profile.Profile) string {
			p.Credential.KeyPair.Secret = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("wrong", 8)))
			return p.Credential.KeyPair.Secret
		},
	})
}
