package cli_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/salvor-io/salvor/internal/fixture/s3test"
)

// The bucket is opened before anything is created.
func TestCreateProfileOpensTheBucket(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	store := s3test.Start(t)
	store.CreateBucket(t, "backups")
	like := store.Profile("backups", "")
	args := []string{"create", "profile", "s3compliant", "--name", "s3", "-e", like.Location.Endpoint, "-r", like.Location.Region, "-p", "a/b"}
	keys := []string{"-a", like.Credential.KeyPair.ID, "-s", like.Credential.KeyPair.Secret}

	got := s.run(append(append(args, "-b", "nowhere"), keys...)...)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "the bucket cannot be used")
	assert.Contains(t, got.err, "--skip-validation creates it all the same")
	got = s.run(append(args, "-b", "backups", "-a", like.Credential.KeyPair.ID, "-s", "not-the-secret")...)
	assert.Equal(t, 1, got.code)
	assert.NotContains(t, got.err, "not-the-secret")
	list, err := s.clients.Profiles(s.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, list.Items, "nothing was created")

	got = s.run(append(append(args, "-b", "backups"), keys...)...)
	require.Zero(t, got.code, got.err)
	assert.Empty(t, store.Objects(t, "backups"), "what was written to see whether it may be is gone")
	_, err = s.clients.Profiles(s.namespace).Get(t.Context(), "s3", metav1.GetOptions{})
	require.NoError(t, err)
}

// As kanctl's: the Secret is read and the bucket is used.
func TestValidateProfileOpensTheBucket(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	store := s3test.Start(t)
	store.CreateBucket(t, "backups")
	like := store.Profile("", "")
	for name, bucket := range map[string]string{"good": "backups", "bad": "nowhere"} {
		got := s.run("create", "profile", "s3compliant", "--name", name, "-e", like.Location.Endpoint, "-r", like.Location.Region, "-b", bucket,
			"-a", like.Credential.KeyPair.ID, "-s", like.Credential.KeyPair.Secret, "--skip-validation")
		require.Zero(t, got.code, got.err)
	}
	assert.Equal(t, result{0, "profile good: no problem found\n", ""}, s.run("validate", "profile", "--name", "good", "--resource-namespace", s.namespace))
	assert.Empty(t, store.Objects(t, "backups"))
	got := s.run("validate", "profile", "--name", "bad", "--resource-namespace", s.namespace)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.out, "Profile "+s.namespace+"/bad: error: location: the bucket cannot be used: ")
	assert.NotContains(t, got.out, like.Credential.KeyPair.Secret)
	assert.Zero(t, s.run("validate", "profile", "--name", "bad", "--schema-validation-only").code)
}

// Without keys the Profile has the identity of the pods.
func TestCreateProfileWithoutKeys(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for _, kind := range []string{"s3compliant", "gcp"} {
		got := s.run("create", "profile", kind, "--name", kind, "-b", "backups")
		require.Equal(t, result{0, "profile '" + kind + "' created\n", ""}, got)
		p, err := s.clients.Profiles(s.namespace).Get(t.Context(), kind, metav1.GetOptions{})
		require.NoError(t, err)
		assert.Nil(t, p.Credential)
	}
	got := s.run("create", "profile", "azure", "--name", "azure", "-b", "backups", "-a", "account")
	require.Zero(t, got.code, got.err)
	p, err := s.clients.Profiles(s.namespace).Get(t.Context(), "azure", metav1.GetOptions{})
	require.NoError(t, err)
	secret, err := s.clients.Kube.CoreV1().Secrets(s.namespace).Get(t.Context(), p.Credential.Secret.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, map[string][]byte{"azure_storage_account_id": []byte("account"), "azure_federated_identity": []byte("true")}, secret.Data)
	assert.Contains(t, s.run("create", "profile", "s3compliant", "-b", "b", "-R", "arn:x").err, "--role needs --access-key")
}
