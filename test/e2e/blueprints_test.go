//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/test/harness"
)

// kanisterProfile is what a Kanister user has in his repository, to the letter.
const kanisterProfile = `
apiVersion: v1
kind: Secret
metadata: {name: s3-secret, namespace: "{ns}"}
type: Opaque
stringData: {aws_access_key_id: demo-access-key, aws_secret_access_key: demo-secret-key-not-a-secret}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Profile
metadata: {name: s3-profile, namespace: "{ns}"}
location:
  type: s3Compliant
  bucket: {bucket}
  endpoint: http://s3.s3.svc.cluster.local:7070
  prefix: ""
  region: us-east-1
credential:
  type: keyPair
  keyPair:
    idField: aws_access_key_id
    secretField: aws_secret_access_key
    secret: {apiVersion: v1, kind: Secret, name: s3-secret, namespace: "{ns}"}
skipSSLVerify: true
`

// source reads a file of the repository.
func source(t *testing.T, path ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{suite.tools.Root}, path...)...))
	require.NoError(t, err)
	return string(content)
}

// emptyBucket returns a bucket of the S3 server without an object in it.
func emptyBucket(t *testing.T, name string) *harness.Bucket {
	t.Helper()
	address, stop, err := suite.tools.Forward(suiteContext(), "s3", "s3", 7070)
	require.NoError(t, err)
	t.Cleanup(stop)
	bucket, err := harness.OpenBucket(t.Context(), "http://"+address, "demo-access-key", "demo-secret-key-not-a-secret", name)
	require.NoError(t, err)
	require.NoError(t, bucket.Empty(t.Context()))
	return bucket
}

// keys are those of the objects below a prefix.
func keys(t *testing.T, bucket *harness.Bucket, prefix string) []string {
	t.Helper()
	objects, err := bucket.List(t.Context(), prefix)
	require.NoError(t, err)
	found := []string{}
	for _, object := range objects {
		found = append(found, object.Key)
	}
	return found
}

// kanistersProfile makes the profile s3-profile of the bucket.
func kanistersProfile(t *testing.T, namespace string, bucket *harness.Bucket) {
	t.Helper()
	apply(t, namespace, strings.ReplaceAll(kanisterProfile, "{bucket}", bucket.Name))
}

// kanistersBlueprint gives one of Kanister's own blueprints, byte for byte, to the
// API server.
func kanistersBlueprint(t *testing.T, namespace, file string) {
	t.Helper()
	_, err := suite.tools.Kubectl(t.Context(), "apply", "-n", namespace, "-f",
		filepath.Join(suite.tools.Root, "internal", "blueprint", "testdata", "kanister", file))
	require.NoError(t, err)
}

// rolledOut waits for a workload (kind/name).
func rolledOut(t *testing.T, namespace, workload string) {
	t.Helper()
	_, err := suite.tools.Kubectl(t.Context(), "rollout", "status", "-n", namespace, workload, "--timeout="+patience.String())
	require.NoError(t, err)
}

// inPod runs a shell command in a pod and returns what it prints.
func inPod(t *testing.T, namespace, pod, stdin, command string) string {
	t.Helper()
	out, err := tryInPod(t, namespace, pod, stdin, command)
	require.NoError(t, err)
	return out
}

func tryInPod(t *testing.T, namespace, pod, stdin, command string) (string, error) {
	t.Helper()
	out, err := suite.tools.Run(t.Context(), strings.NewReader(stdin), "kubectl", "exec", "-i", "-n", namespace, pod, "--", "bash", "-ec", command)
	return strings.TrimSpace(out), err
}

// follow runs an action on what an ActionSet made, as people do it: with the command
// that Kanister's users know. It waits for the good end.
func follow(t *testing.T, namespace, from, action string, flags ...string) {
	t.Helper()
	out, err := suite.tools.Salvor(t.Context(), append([]string{"create", "actionset", "-n", namespace, "--action", action, "--from", from}, flags...)...)
	require.NoError(t, err)
	name := regexp.MustCompile(action + "-" + regexp.QuoteMeta(from) + "-[a-z0-9]+").FindString(out)
	require.NotEmpty(t, name, "the name of the ActionSet is printed: %s", out)
	complete(t, namespace, name)
}
