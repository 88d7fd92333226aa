package location

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"gocloud.dev/blob/azureblob"

	"github.com/salvor-io/salvor/internal/profile"
)

// openAzure opens a container of Azure Blob Storage with the account's key.
func (l *Location) openAzure(ctx context.Context, p *profile.Profile) error {
	keys, err := azureKeysOf(&p.Credential)
	if err != nil {
		return err
	}
	service, err := azureService(p.Location.Endpoint, keys)
	if err != nil {
		return err
	}
	credential, err := container.NewSharedKeyCredential(keys.account, keys.key)
	if err != nil {
		return errors.New("the storage key is not base64; copy it again from the storage account")
	}
	transport, err := httpTransport(p)
	if err != nil {
		return err
	}
	options := &container.ClientOptions{}
	options.Transport = &http.Client{Transport: transport}
	options.Telemetry = policy.TelemetryOptions{ApplicationID: "salvor"}
	client, err := container.NewClientWithSharedKeyCredential(service+"/"+url.PathEscape(p.Location.Bucket), credential, options)
	if err != nil {
		return err
	}
	l.upload = newUploader(&azureStore{client}).upload
	l.bucket, err = azureblob.OpenBucket(ctx, client, nil)
	return err
}

// azureKeys is what a credential holds for Azure.
type azureKeys struct{ account, key, environment string }

func azureKeysOf(c *profile.Credential) (azureKeys, error) {
	if c.Type == profile.CredentialKeyPair {
		return azureKeys{account: c.KeyPair.ID, key: c.KeyPair.Secret}, nil
	}
	s := c.Secret
	if strings.EqualFold(s.Value(profile.AzureFederatedIdentity), "true") {
		return azureKeys{}, fmt.Errorf("%s is not supported yet; put %s into the Secret",
			profile.AzureFederatedIdentity, profile.AzureStorageKey)
	}
	keys := azureKeys{
		account:     strings.TrimSpace(s.Value(profile.AzureStorageAccount)),
		key:         strings.TrimSpace(s.Value(profile.AzureStorageKey)),
		environment: strings.TrimSpace(s.Value(profile.AzureStorageEnvironment)),
	}
	if keys.account == "" || keys.key == "" {
		return azureKeys{}, needKeys(s, profile.SecretAzure, profile.AzureStorageAccount, profile.AzureStorageKey)
	}
	return keys, nil
}

// azureService returns the URL of the account's blob service. An endpoint may be
// that URL, the host of a private cloud without the account, or an emulator.
func azureService(endpoint string, keys azureKeys) (string, error) {
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

// azureDomain knows the names Azure gives its clouds.
func azureDomain(environment string) (string, error) {
	switch strings.ToUpper(environment) {
	case "", "AZURECLOUD", "AZUREPUBLICCLOUD":
		return "blob.core.windows.net", nil
	case "AZUREUSGOVERNMENT", "AZUREUSGOVERNMENTCLOUD":
		return "blob.core.usgovcloudapi.net", nil
	case "AZURECHINACLOUD":
		return "blob.core.chinacloudapi.cn", nil
	default:
		return "", fmt.Errorf("%s %q is unknown; use AzurePublicCloud, AzureUSGovernmentCloud or AzureChinaCloud, or set Location.endpoint",
			profile.AzureStorageEnvironment, environment)
	}
}
