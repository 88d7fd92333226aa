package location

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob/azureblob"

	"github.com/salvor-io/salvor/internal/profile"
)

// openAzure opens a container of Azure Blob Storage.
func (l *Location) openAzure(ctx context.Context, p *profile.Profile, o options) error {
	keys, err := azureKeysOf(&p.Credential)
	if err != nil {
		return err
	}
	service, err := azureService(p.Location.Endpoint, keys)
	if err != nil {
		return err
	}
	transport, err := httpTransport(p)
	if err != nil {
		return err
	}
	clientOptions := &container.ClientOptions{}
	clientOptions.Transport = &http.Client{Transport: transport}
	clientOptions.Telemetry = policy.TelemetryOptions{ApplicationID: "salvor"}
	address := service + "/" + url.PathEscape(p.Location.Bucket)
	var client *container.Client
	if keys.federated {
		if err := o.mayHaveToken(service, ".core.windows.net", ".core.usgovcloudapi.net", ".core.chinacloudapi.cn", ".storage.azure.net"); err != nil {
			return err
		}
		client, err = azureWithIdentity(address, keys, clientOptions)
	} else {
		client, err = azureWithKey(address, keys, clientOptions)
	}
	if err != nil {
		return err
	}
	l.upload = newUploader(&azureStore{client}).upload
	l.bucket, err = azureblob.OpenBucket(ctx, client, nil)
	return err
}

func azureWithKey(address string, keys azureKeys, o *container.ClientOptions) (*container.Client, error) {
	credential, err := container.NewSharedKeyCredential(keys.account, keys.key)
	if err != nil {
		return nil, errors.New("the storage key is not base64; copy it again from the storage account")
	}
	return container.NewClientWithSharedKeyCredential(address, credential, o)
}

// azureWithIdentity uses the identity around the process: that of the environment,
// the workload identity of the pod's service account, or the node's managed identity.
func azureWithIdentity(address string, keys azureKeys, o *container.ClientOptions) (*container.Client, error) {
	clientOptions := policy.ClientOptions{Transport: o.Transport, Telemetry: o.Telemetry}
	switch domain, _ := azureDomain(keys.environment); domain {
	case azureGovernment:
		clientOptions.Cloud = cloud.AzureGovernment
	case azureChina:
		clientOptions.Cloud = cloud.AzureChina
	}
	credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
		ClientOptions: clientOptions,
		// The authority is that of the environment, which is trusted; asking the
		// public cloud about it would fail in every other.
		DisableInstanceDiscovery: true,
	})
	if err != nil {
		return nil, fmt.Errorf("the profile has no storage key, and the process has no identity: %w", err)
	}
	return container.NewClient(address, credential, o)
}

// azureKeys is what a credential holds for Azure. Without a key, federated says
// that the identity around the process takes its place.
type azureKeys struct {
	account, key, environment string
	federated                 bool
}

func azureKeysOf(c *profile.Credential) (azureKeys, error) {
	if c.Ambient() {
		return azureKeys{federated: true}, nil
	}
	if c.Type == profile.CredentialKeyPair {
		return azureKeys{account: c.KeyPair.ID, key: c.KeyPair.Secret}, nil
	}
	s := c.Secret
	keys := azureKeys{
		account:     strings.TrimSpace(s.Value(profile.AzureStorageAccount)),
		key:         strings.TrimSpace(s.Value(profile.AzureStorageKey)),
		environment: strings.TrimSpace(s.Value(profile.AzureStorageEnvironment)),
		federated:   strings.EqualFold(strings.TrimSpace(s.Value(profile.AzureFederatedIdentity)), "true"),
	}
	if keys.account == "" || (keys.key == "" && !keys.federated) {
		return azureKeys{}, needKeys(s, profile.SecretAzure, profile.AzureStorageAccount, profile.AzureStorageKey)
	}
	return keys, nil
}

// azureService returns the URL of the account's blob service. An endpoint may be
// that URL, the host of a private cloud without the account, or an emulator.
func azureService(endpoint string, keys azureKeys) (string, error) {
	if keys.account == "" {
		if endpoint == "" {
			return "", errors.New("a profile without a credential does not say which storage account; write its URL into Location.endpoint, like https://ACCOUNT.blob.core.windows.net")
		}
		return endpointURL(endpoint)
	}
	if endpoint == "" {
		domain, err := azureDomain(keys.environment)
		return "https://" + keys.account + "." + domain, err
	}
	service, err := endpointURL(endpoint)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(service)
	if err != nil {
		return "", err
	}
	switch {
	case strings.HasPrefix(u.Host, keys.account+"."), strings.Trim(u.Path, "/") == keys.account:
		return service, nil
	case strings.HasPrefix(u.Host, "blob."):
		u.Host = keys.account + "." + u.Host
		return u.String(), nil
	default:
		return service + "/" + keys.account, nil
	}
}

// The names Azure gives its clouds, and the domains of their blob services.
const (
	azurePublic     = "blob.core.windows.net"
	azureGovernment = "blob.core.usgovcloudapi.net"
	azureChina      = "blob.core.chinacloudapi.cn"
)

// CheckAzureEnvironment says whether the name of an Azure cloud is known.
func CheckAzureEnvironment(environment string) error {
	_, err := azureDomain(environment)
	return err
}

func azureDomain(environment string) (string, error) {
	switch strings.ToUpper(environment) {
	case "", "AZURECLOUD", "AZUREPUBLICCLOUD":
		return azurePublic, nil
	case "AZUREUSGOVERNMENT", "AZUREUSGOVERNMENTCLOUD":
		return azureGovernment, nil
	case "AZURECHINACLOUD":
		return azureChina, nil
	default:
		return "", fmt.Errorf("%s %q is unknown; use AzurePublicCloud, AzureUSGovernmentCloud or AzureChinaCloud, or set Location.endpoint",
			profile.AzureStorageEnvironment, environment)
	}
}
