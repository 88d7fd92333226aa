package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Profile says where data goes and which Secret opens the door.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=profiles,singular=profile,categories=salvor
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.location.type`
// +kubebuilder:printcolumn:name="Bucket",type=string,JSONPath=`.location.bucket`
// +kubebuilder:printcolumn:name="Endpoint",type=string,JSONPath=`.location.endpoint`
// +kubebuilder:printcolumn:name="Prefix",type=string,priority=1,JSONPath=`.location.prefix`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
type Profile struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Location Location `json:"location"`
	// Credential that opens the location. Without one it is the identity of the
	// pod that does the work: IRSA and pod identity, GKE, Azure workload identity.
	//
	// +optional
	// +nullable
	Credential *Credential `json:"credential,omitempty"`
	// SkipSSLVerify accepts any server certificate. Default false.
	//
	// +optional
	SkipSSLVerify bool `json:"skipSSLVerify,omitempty"`
}

// ProfileList is a list of Profiles.
//
// +kubebuilder:object:root=true
type ProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Profile `json:"items"`
}

// AnnotationCABundle of a Profile names authorities to trust beside the system's:
// a ConfigMap in the Profile's namespace, as name or name/key; the key is ca.crt
// unless it is given. It is an annotation because Kanister's CRD drops fields that
// it does not know, and keeps annotations.
const AnnotationCABundle = "salvor.io/ca-bundle"

// LocationType is a kind of store.
//
// +kubebuilder:validation:Enum=s3Compliant;gcs;azure;kopia;filestore
type LocationType string

// The kinds of store.
const (
	// LocationTypeS3Compliant is Amazon S3 or a server that speaks its protocol.
	LocationTypeS3Compliant LocationType = "s3Compliant"
	// LocationTypeGCS is Google Cloud Storage.
	LocationTypeGCS LocationType = "gcs"
	// LocationTypeAzure is Azure Blob Storage.
	LocationTypeAzure LocationType = "azure"
	// LocationTypeKopia is a Kopia repository server.
	LocationTypeKopia LocationType = "kopia"
	// LocationTypeFilestore is a directory that the task's pod has mounted.
	LocationTypeFilestore LocationType = "filestore"
)

// Location is a place in a store. One without a bucket is for the functions of RDS, which
// need a region only: Kanister's instructions for them make such Profiles.
//
// +kubebuilder:validation:XValidation:rule="self.type == 'kopia' || (has(self.bucket) && size(self.bucket) > 0) || (self.type == 's3Compliant' && has(self.region) && size(self.region) > 0)",message="location.bucket is required for this type; s3Compliant may do without it for RDS alone, and then needs location.region"
type Location struct {
	Type LocationType `json:"type"`
	// +optional
	Bucket string `json:"bucket,omitempty"`
	// Endpoint URL of the server; empty means the provider's own.
	//
	// +optional
	Endpoint string `json:"endpoint,omitempty"`
	// Prefix of every object's name.
	//
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// +optional
	Region string `json:"region,omitempty"`
}

// CredentialType says where the credential's values stand.
//
// +kubebuilder:validation:Enum=keyPair;secret;kopia
type CredentialType string

// The kinds of credential.
const (
	// CredentialTypeKeyPair takes an id and a secret from two fields of a Secret.
	CredentialTypeKeyPair CredentialType = "keyPair"
	// CredentialTypeSecret takes a whole Secret of a type of secrets.kanister.io.
	CredentialTypeSecret CredentialType = "secret"
	// CredentialTypeKopia takes a Kopia server's user and certificate.
	CredentialTypeKopia CredentialType = "kopia"
)

// Credential refers to Secrets; it never holds a value.
//
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'keyPair' || has(self.keyPair)",message="credential.keyPair is required when credential.type is keyPair"
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'secret' || has(self.secret)",message="credential.secret is required when credential.type is secret"
// +kubebuilder:validation:XValidation:rule="!has(self.type) || self.type != 'kopia' || has(self.kopiaServerSecret)",message="credential.kopiaServerSecret is required when credential.type is kopia"
// +kubebuilder:validation:XValidation:rule="has(self.type) || !(has(self.keyPair) || has(self.secret) || has(self.kopiaServerSecret))",message="credential.type is required: keyPair, secret or kopia"
type Credential struct {
	// Type is required unless all is empty, which is no credential.
	//
	// +optional
	Type CredentialType `json:"type,omitempty"`
	// +optional
	KeyPair *KeyPair `json:"keyPair,omitempty"`
	// +optional
	Secret *ObjectReference `json:"secret,omitempty"`
	// +optional
	KopiaServerSecret *KopiaServerSecret `json:"kopiaServerSecret,omitempty"`
}

// KeyPair names the two fields of a Secret.
type KeyPair struct {
	// +kubebuilder:validation:MinLength=1
	IDField string `json:"idField"`
	// +kubebuilder:validation:MinLength=1
	SecretField string          `json:"secretField"`
	Secret      ObjectReference `json:"secret"`
}

// KopiaServerSecret refers to what a Kopia client needs.
type KopiaServerSecret struct {
	// +optional
	Username string `json:"username,omitempty"`
	// +optional
	Hostname string `json:"hostname,omitempty"`
	// +optional
	UserPassphrase KopiaServerSecretRef `json:"userPassphrase,omitempty"`
	// +optional
	TLSCert KopiaServerSecretRef `json:"tlsCert,omitempty"`
	// +optional
	ConnectOptions map[string]int `json:"connectOptions,omitempty"`
}

// KopiaServerSecretRef is one key of one Secret.
type KopiaServerSecretRef struct {
	// +optional
	Key string `json:"key,omitempty"`
	// +optional
	Secret *ObjectReference `json:"secret,omitempty"`
}
