// Package awsconf turns the credential of a profile into the configuration of
// AWS' SDK, for S3 (internal/location) and for RDS (the snapshot functions) alike.
//
// # Whose identity
//
// A credential with keys is used as it is, and nothing of the environment counts:
// the same profile means the same thing wherever it is used. Its `role`, if it
// has one, is assumed with those keys, again each time what it got expires.
//
// An empty credential is the identity around the process, found in the order of
// the SDK: AWS_ACCESS_KEY_ID and its companions, the web identity of the service
// account (IRSA: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE), EKS pod identity
// and ECS (AWS_CONTAINER_CREDENTIALS_FULL_URI), the instance's role. Whose process
// that is matters: in a task pod it is the identity of the pod's service account,
// in the runner it is Salvor's own.
//
// # Where a role is assumed
//
// AWS answers at its own token service. With the endpoint of another store
// (MinIO, Ceph, versitygw) the role is asked for there, because such stores are
// their own token service and AWS knows nothing of their keys.
package awsconf
