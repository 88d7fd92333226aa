package profile

import (
	"slices"
	"strings"
)

// LocationType names the kind of object store a profile points at.
type LocationType string

// The location types that can be opened. LocationKopia is accepted in a profile,
// because Kanister has it, and refused when it is used.
const (
	LocationS3        LocationType = "s3Compliant"
	LocationGCS       LocationType = "gcs"
	LocationAzure     LocationType = "azure"
	LocationFilestore LocationType = "filestore"
	LocationKopia     LocationType = "kopia"
)

// CredentialType says which field of Credential is filled.
type CredentialType string

// The credential types of Kanister.
const (
	CredentialKeyPair CredentialType = "keyPair"
	CredentialSecret  CredentialType = "secret"
	CredentialKopia   CredentialType = "kopia"
)

// The types of Kubernetes Secret a credential may hold, and their keys.
const (
	SecretAWS   = "secrets.kanister.io/aws"
	SecretAzure = "secrets.kanister.io/azure"
	SecretGCP   = "secrets.kanister.io/gcp"

	AWSAccessKeyID     = "aws_access_key_id"
	AWSSecretAccessKey = "aws_secret_access_key" //nolint:gosec // G101: the name of a key, not its value
	AWSSessionToken    = "aws_session_token"     //nolint:gosec // G101: the name of a key, not its value
	AWSRole            = "role"

	AzureStorageAccount     = "azure_storage_account_id"
	AzureStorageKey         = "azure_storage_key"
	AzureStorageEnvironment = "azure_storage_environment"
	AzureFederatedIdentity  = "azure_federated_identity"

	GCPProjectID  = "gcp_project_id"
	GCPServiceKey = "gcp_service_key"
)

// Profile is a location and the credential that opens it.
type Profile struct {
	Location   Location   `json:"Location"`
	Credential Credential `json:"Credential"`
	// SkipSSLVerify accepts any server certificate.
	SkipSSLVerify bool `json:"SkipSSLVerify"`
	// CABundle is PEM: authorities to trust beside the system's. Kanister has no
	// such field, so it is left out when it is empty.
	CABundle string `json:"CABundle,omitempty"`
}

// Location is a place in an object store.
type Location struct {
	Type LocationType `json:"type"`
	// Bucket is the bucket, the Azure container, or for a filestore the
	// absolute path of a directory.
	Bucket string `json:"bucket"`
	// Endpoint is the URL of the store; empty means the provider's own.
	Endpoint string `json:"endpoint"`
	// Prefix is put before every path.
	Prefix string `json:"prefix"`
	Region string `json:"region"`
}

// Credential is what opens a Location. Type says which field is filled; the zero
// value is the identity around the process.
type Credential struct {
	Type              CredentialType     `json:"Type"`
	KeyPair           *KeyPair           `json:"KeyPair"`
	Secret            *Secret            `json:"Secret"`
	KopiaServerSecret *KopiaServerSecret `json:"KopiaServerSecret"`
}

// Ambient says that there is no credential: the identity around the process is
// used, such as that of the pod's service account (IRSA, GKE, Azure workload
// identity).
func (c Credential) Ambient() bool {
	return c.Type == "" && c.KeyPair == nil && c.Secret == nil && c.KopiaServerSecret == nil
}

// NeedsIdentity says that the credential has no key of its own and is worth something
// only with the identity around the process: it is Ambient, names a role alone, or a
// storage account that the identity is trusted by.
func (c Credential) NeedsIdentity() bool {
	var key string
	if c.KeyPair != nil {
		key = c.KeyPair.Secret
	}
	if c.Secret != nil {
		key += c.Secret.Value(AWSSecretAccessKey) + c.Secret.Value(AzureStorageKey) + c.Secret.Value(GCPServiceKey)
	}
	return c.KopiaServerSecret == nil && strings.TrimSpace(key) == ""
}

// KeyPair is an identity and its secret: access key and secret key for S3,
// storage account and key for Azure, project and service account key for GCS.
type KeyPair struct {
	ID     string `json:"ID"`
	Secret string `json:"Secret"`
}

// Secret is a Kubernetes Secret as a template sees it and as JSON shows it.
type Secret struct {
	Kind       string `json:"kind,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
	ObjectMeta `json:"metadata"`
	Immutable  *bool             `json:"immutable,omitempty"`
	Data       map[string][]byte `json:"data,omitempty"`
	StringData map[string]string `json:"stringData,omitempty"`
	Type       string            `json:"type,omitempty"`
}

// ObjectMeta is the part of a Secret's metadata that a blueprint can use. The
// rest (managed fields, owners) has no place in the arguments of a pod.
type ObjectMeta struct {
	Name        string            `json:"name,omitempty"`
	Namespace   string            `json:"namespace,omitempty"`
	UID         string            `json:"uid,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// KopiaServerSecret is how a Kopia repository server is reached.
type KopiaServerSecret struct {
	Username       string         `json:"Username"`
	Hostname       string         `json:"Hostname"`
	Password       string         `json:"Password"`
	Cert           string         `json:"Cert"`
	ConnectOptions map[string]int `json:"ConnectOptions"`
}

// Value returns the value of a key of the Secret, or "" when there is none.
func (s Secret) Value(key string) string {
	if v, ok := s.Data[key]; ok {
		return string(v)
	}
	return s.StringData[key]
}

// SecretValues returns every value in the profile that must not be shown, longest
// first, so that a caller can take them out of text that came from elsewhere.
// Identities (access key id, account, project) are left out of it.
func (p Profile) SecretValues() []string {
	var values []string
	if kp := p.Credential.KeyPair; kp != nil {
		values = append(values, kp.Secret)
	}
	if s := p.Credential.Secret; s != nil {
		for key := range s.Data {
			values = appendSecret(values, key, s.Value(key))
		}
		for key, value := range s.StringData {
			values = appendSecret(values, key, value)
		}
	}
	if k := p.Credential.KopiaServerSecret; k != nil {
		values = append(values, k.Password)
	}
	values = slices.DeleteFunc(values, func(v string) bool { return v == "" })
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(values)
}

// appendSecret adds a value unless its key is known to hold no secret. A key
// nobody knows is taken for a secret.
func appendSecret(values []string, key, value string) []string {
	switch key {
	case AWSAccessKeyID, AWSRole, AzureStorageAccount, AzureStorageEnvironment, AzureFederatedIdentity, GCPProjectID:
		return values
	}
	return append(values, value)
}
