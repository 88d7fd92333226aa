package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	bridgestatus "github.com/salvor-io/salvor/bridge/status"
)

// shop fills the namespace with what a backup names.
func (s *shell) shop() {
	s.t.Helper()
	ctx := s.t.Context()
	_, err := s.clients.Blueprints(s.namespace).Create(ctx, &kanister.Blueprint{
		ObjectMeta: metav1.ObjectMeta{Name: "postgres"},
		Actions: map[string]*kanister.BlueprintAction{
			"backup":  {Phases: []kanister.BlueprintPhase{{Name: "dump", Func: "KubeTask"}}},
			"restore": {Phases: []kanister.BlueprintPhase{{Name: "load", Func: "KubeTask"}}},
		},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)
	labels := map[string]string{"app": "pg"}
	pod := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "postgres"}}},
	}
	_, err = s.clients.Kube.AppsV1().StatefulSets(s.namespace).Create(ctx, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "pg", Labels: labels},
		Spec:       appsv1.StatefulSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: pod},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)
	_, err = s.clients.Kube.AppsV1().Deployments(s.namespace).Create(ctx, &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: labels},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: pod},
	}, metav1.CreateOptions{})
	require.NoError(s.t, err)
	got := s.run("create", "profile", "s3compliant", "--name", "s3", "-b", "bucket", "-a", "id", "-s", "key", "--skip-validation")
	require.Zero(s.t, got.code, got.err)
}

// only returns the one ActionSet of the namespace.
func (s *shell) only() *kanister.ActionSet {
	s.t.Helper()
	list, err := s.clients.ActionSets(s.namespace).List(s.t.Context(), metav1.ListOptions{})
	require.NoError(s.t, err)
	require.Len(s.t, list.Items, 1)
	return &list.Items[0]
}

// setStatus writes a status as the bridge does.
func (s *shell) setStatus(name string, status kanister.ActionSetStatus) {
	s.t.Helper()
	s.setStatusAs(bridgestatus.FieldManager, name, status)
}

// setStatusAs writes a status as another engine.
func (s *shell) setStatusAs(manager, name string, status kanister.ActionSetStatus) {
	s.t.Helper()
	client := s.clients.ActionSets(s.namespace)
	as, err := client.Get(s.t.Context(), name, metav1.GetOptions{})
	require.NoError(s.t, err)
	as.Status = &status
	_, err = client.UpdateStatus(s.t.Context(), as, metav1.UpdateOptions{FieldManager: manager})
	require.NoError(s.t, err)
}

func TestCreateActionSetAndContinueIt(t *testing.T) {
	s := newShell(t)
	s.name = "kanctl"
	s.shop()
	got := s.run("create", "actionset", "-a", "backup", "-b", "postgres", "-t", s.namespace+"/pg", "-p", "s3", "-o", "keep=7,tables=a,b", "--labels", "team=db")
	require.Zero(t, got.code, got.err)
	as := s.only()
	assert.Regexp(t, `^backup-[a-z0-9]{5}$`, as.Name)
	assert.Equal(t, "actionset "+as.Name+" created\n", got.out)
	assert.Equal(t, map[string]string{"team": "db"}, as.Labels)
	object := kanister.ObjectReference{Kind: "statefulset", Namespace: s.namespace, Name: "pg"}
	profile := &kanister.ObjectReference{Namespace: s.namespace, Name: "s3"}
	assert.Equal(t, []kanister.ActionSpec{{
		Name: "backup", Blueprint: "postgres", Object: object, Profile: profile, Options: map[string]string{"keep": "7", "tables": "a,b"},
	}}, as.Spec.Actions)

	got = s.run("create", "actionset", "--action", "restore", "--from", as.Name)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "has not been started yet")
	artifacts := map[string]kanister.Artifact{"dump": {KeyValue: map[string]string{"path": "x/y"}}}
	s.setStatus(as.Name, kanister.ActionSetStatus{State: kanister.StateComplete, Actions: []kanister.ActionStatus{{
		Name: "backup", Blueprint: "postgres", Object: object, Artifacts: artifacts,
	}}})
	got = s.run("create", "actionset", "--action", "restore", "--from", as.Name, "--quiet", "-o", "keep=9")
	require.Zero(t, got.code, got.err)
	name := strings.TrimSpace(got.out)
	assert.Regexp(t, `^restore-`+as.Name+`-[a-z0-9]{5}$`, name)
	child, err := s.clients.ActionSets(s.namespace).Get(t.Context(), name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, []kanister.ActionSpec{{
		Name: "restore", Blueprint: "postgres", Object: object, Profile: profile, Artifacts: artifacts,
		Options: map[string]string{"keep": "9", "tables": "a,b"},
	}}, child.Spec.Actions)

	got = s.run("create", "actionset", "--action", "restore", "--from", "nothing")
	assert.Equal(t, "Error: --from: there is no ActionSet nothing in namespace "+s.namespace+"; see: salvor get -n "+s.namespace+"\n", got.err)
}

func TestWhatIsMissingIsFoundBeforeAnythingIsCreated(t *testing.T) {
	s := newShell(t)
	s.shop()
	for want, args := range map[string][]string{
		"there is no blueprint mysql in namespace " + s.namespace + " or salvor":                           {"-b", "mysql", "-a", "backup", "-t", s.namespace + "/pg"},
		"blueprint postgres with action bakcup: the blueprint has no such action; it has: backup, restore": {"-b", "postgres", "-a", "bakcup", "-t", s.namespace + "/pg"},
		"statefulset " + s.namespace + "/nothing does not exist":                                           {"-b", "postgres", "-a", "backup", "-t", s.namespace + "/nothing"},
		"profile " + s.namespace + "/gone does not exist":                                                  {"-b", "postgres", "-a", "backup", "-t", s.namespace + "/pg", "-p", "gone"},
		"secret " + s.namespace + "/gone does not exist":                                                   {"-b", "postgres", "-a", "backup", "-t", s.namespace + "/pg", "-s", "x=" + s.namespace + "/gone"},
		"config map " + s.namespace + "/gone does not exist":                                               {"-b", "postgres", "-a", "backup", "-t", s.namespace + "/pg", "-c", "x=" + s.namespace + "/gone"},
		"secrets " + s.namespace + "/gone does not exist":                                                  {"-b", "postgres", "-a", "backup", "-O", "v1/secrets/" + s.namespace + "/gone"},
		"namespace nowhere does not exist":                                                                 {"-b", "postgres", "-a", "backup", "-T", "nowhere"},
		`--selector "app=none" selects no object of kind all in namespace ` + s.namespace:                  {"-b", "postgres", "-a", "backup", "-l", "app=none", "--selector-namespace", s.namespace},
	} {
		got := s.run(append([]string{"create", "actionset"}, args...)...)
		assert.Equal(t, 1, got.code, want)
		assert.Contains(t, got.err, want)
		assert.Equal(t, 1, strings.Count(got.err, "\n"), "one sentence: %s", got.err)
	}
	list, err := s.clients.ActionSets(s.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Empty(t, list.Items)

	got := s.run("create", "actionset", "-b", "mysql", "-a", "backup", "-t", s.namespace+"/nothing", "--skip-validation")
	require.Zero(t, got.code, got.err)
	assert.Equal(t, "mysql", s.only().Spec.Actions[0].Blueprint)
}

func TestSelectorSelects(t *testing.T) {
	s := newShell(t)
	s.shop()
	got := s.run("create", "actionset", "-b", "postgres", "-a", "backup", "-l", "app=pg", "--selector-namespace", s.namespace, "-t", s.namespace+"/pg", "--dry-run")
	require.Zero(t, got.code, got.err)
	var as kanister.ActionSet
	require.NoError(t, yaml.UnmarshalStrict([]byte(got.out), &as))
	var kinds []string
	for _, action := range as.Spec.Actions {
		kinds = append(kinds, action.Object.Kind+"/"+action.Object.Name)
	}
	assert.Equal(t, []string{"statefulset/pg", "deployment/web"}, kinds, "the stateful set once")
	got = s.run("create", "actionset", "-b", "postgres", "-a", "backup", "-l", "app=pg", "-k", "deployment", "-q")
	require.Zero(t, got.code, got.err)
	assert.Equal(t, "web", s.only().Spec.Actions[0].Object.Name)
}

func TestDryRunNeedsNoCluster(t *testing.T) {
	got := offline(t, "create", "actionset", "-a", "backup", "-b", "pg", "-t", "db/pg", "-n", "db", "-A", "mine", "--dry-run", "--skip-validation")
	require.Zero(t, got.code, got.err)
	assert.Equal(t, `apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
metadata:
  name: mine
  namespace: db
spec:
  actions:
  - blueprint: pg
    name: backup
    object:
      kind: statefulset
      name: pg
      namespace: db
`, got.out)
	got = offline(t, "create", "actionset", "-a", "backup", "-b", "pg", "-t", "db/pg", "--dry-run", "--skip-validation")
	require.Zero(t, got.code, got.err)
	assert.Contains(t, got.out, "namespace: default\n", "as in a cluster whose context names none")
	got = offline(t, "create", "actionset", "-a", "backup", "-b", "pg", "-t", "db/pg", "-n", "db")
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "no cluster is configured: set --kubeconfig or KUBECONFIG")
}

// A tenant may start a backup whose Secret only the runner may read.
func TestWhatMayNotBeReadIsNotRefused(t *testing.T) {
	s := newShell(t)
	s.shop()
	user := "tenant-" + s.namespace
	_, err := s.clients.Kube.RbacV1().Roles(s.namespace).Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "tenant"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"cr.kanister.io"}, Resources: []string{"actionsets", "blueprints"}, Verbs: []string{"get", "create"}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = s.clients.Kube.RbacV1().RoleBindings(s.namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "tenant"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "tenant"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	config, err := clientcmd.LoadFromFile(s.config)
	require.NoError(t, err)
	for _, info := range config.AuthInfos {
		info.Impersonate = user
	}
	s.config = filepath.Join(t.TempDir(), "tenant")
	require.NoError(t, clientcmd.WriteToFile(*config, s.config))
	require.Eventually(t, func() bool { return s.run("get", "x").code == 3 }, 3*time.Minute, 50*time.Millisecond, "the role binding counts")

	got := s.run("create", "actionset", "--verbose", "-b", "postgres", "-a", "backup", "-t", s.namespace+"/pg", "-s", "x="+s.namespace+"/pg", "-q")
	require.Zero(t, got.code, got.err)
	assert.Contains(t, got.err, "cannot check secret "+s.namespace+"/pg: ")
	s.only()
	got = s.run("get")
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "is forbidden")
}

func TestCreateProfile(t *testing.T) {
	s := newShell(t)
	s.stdin = "s3cr3t\n"
	got := s.run("create", "profile", "s3compliant", "--name", "minio", "-b", "bucket", "-e", "http://minio:9000", "-p", "pre/fix", "-r", "eu-1", "--skip-SSL-verification",
		"-a", "AKIA", "--secret-key-file", "-", "--skip-validation")
	require.Zero(t, got.code, got.err)
	p, err := s.clients.Profiles(s.namespace).Get(t.Context(), "minio", metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, kanister.Location{Type: "s3Compliant", Bucket: "bucket", Endpoint: "http://minio:9000", Prefix: "pre/fix", Region: "eu-1"}, p.Location)
	assert.True(t, p.SkipSSLVerify)
	require.Equal(t, kanister.CredentialTypeKeyPair, p.Credential.Type)
	secret, err := s.clients.Kube.CoreV1().Secrets(s.namespace).Get(t.Context(), p.Credential.KeyPair.Secret.Name, metav1.GetOptions{})
	require.NoError(t, err)
	assert.Equal(t, "secret '"+secret.Name+"' created\nprofile 'minio' created\n", got.out)
	assert.Regexp(t, `^s3-secret-[a-z0-9]{6}$`, secret.Name)
	assert.Equal(t, map[string][]byte{"aws_access_key_id": []byte("AKIA"), "aws_secret_access_key": []byte("s3cr3t")}, secret.Data)
	assert.Equal(t, "aws_access_key_id", p.Credential.KeyPair.IDField)
	assert.Equal(t, "aws_secret_access_key", p.Credential.KeyPair.SecretField)
	got = s.run("validate", "profile", "--name", "minio", "--resource-namespace", s.namespace, "--schema-validation-only")
	assert.Equal(t, result{0, "profile minio: no problem found\n", ""}, got)

	// The same name again: an error, and no Secret is left over.
	got = s.run("create", "profile", "s3compliant", "--name", "minio", "-b", "bucket", "-a", "AKIA", "-s", "x", "--skip-validation")
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.err, "already exists")
	secrets, err := s.clients.Kube.CoreV1().Secrets(s.namespace).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	assert.Len(t, secrets.Items, 1)
	require.NoError(t, s.clients.Kube.CoreV1().Secrets(s.namespace).Delete(t.Context(), secret.Name, metav1.DeleteOptions{}))
	got = s.run("validate", "profile", "--name", "minio", "--resource-namespace", s.namespace)
	assert.Equal(t, 1, got.code)
	assert.Contains(t, got.out, "its Secret "+s.namespace+"/"+secret.Name+" does not exist")
}

func TestProfilesOfOtherProviders(t *testing.T) {
	s := newShell(t)
	key := filepath.Join(t.TempDir(), "key.json")
	require.NoError(t, os.WriteFile(key, []byte(`{"type":"service_account"}`), 0o600))
	for name, c := range map[string]struct {
		args       []string
		secretType corev1.SecretType
		credential kanister.CredentialType
		data       map[string]string
	}{
		"s3 with a role": {
			[]string{"s3compliant", "-a", "id", "-s", "se", "-R", "arn:aws:iam::1:role/x"},
			"secrets.kanister.io/aws", "secret",
			map[string]string{"aws_access_key_id": "id", "aws_secret_access_key": "se", "role": "arn:aws:iam::1:role/x"},
		},
		"gcp": {
			[]string{"gcp", "-a", "project", "-s", key},
			"Opaque", "keyPair",
			map[string]string{"gcp_project_id": "project", "gcp_service_key": `{"type":"service_account"}`},
		},
		"azure": {
			[]string{"azure", "-a", "account", "-s", "key"},
			"Opaque", "keyPair",
			map[string]string{"azure_storage_account_id": "account", "azure_storage_key": "key"},
		},
		"azure in another cloud": {
			[]string{"azure", "-a", "account", "-s", "key", "--storage-env", "AzureUSGovernmentCloud"},
			"secrets.kanister.io/azure", "secret",
			map[string]string{"azure_storage_account_id": "account", "azure_storage_key": "key", "azure_storage_environment": "AzureUSGovernmentCloud"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			profile := strings.ReplaceAll(name, " ", "-")
			got := s.run(append([]string{"create", "profile", "--skip-validation", "--name", profile, "-b", "bucket"}, c.args...)...)
			require.Zero(t, got.code, got.err)
			p, err := s.clients.Profiles(s.namespace).Get(t.Context(), profile, metav1.GetOptions{})
			require.NoError(t, err)
			assert.Equal(t, c.credential, p.Credential.Type)
			reference := p.Credential.Secret
			if reference == nil {
				reference = &p.Credential.KeyPair.Secret
			}
			secret, err := s.clients.Kube.CoreV1().Secrets(reference.Namespace).Get(t.Context(), reference.Name, metav1.GetOptions{})
			require.NoError(t, err)
			assert.Equal(t, c.secretType, secret.Type)
			data := map[string]string{}
			for field, value := range secret.Data {
				data[field] = string(value)
			}
			assert.Equal(t, c.data, data)
		})
	}
}

func TestProfileFlagsAreChecked(t *testing.T) {
	s3 := []string{"create", "profile", "s3compliant", "-n", "db", "--dry-run"}
	for want, args := range map[string][]string{
		"--access-key is required":                              append(s3, "-b", "b", "-s", "x"),
		"--secret-key-file (or --secret-key) is required":       append(s3, "-b", "b", "-a", "x"),
		"--secret-key and --secret-key-file exclude each other": append(s3, "-b", "b", "-a", "x", "-s", "x", "--secret-key-file", "x"),
		"--secret-key-file: - is empty":                         append(s3, "-b", "b", "-a", "x", "--secret-key-file", "-"),
		"--bucket is required":                                  append(s3, "-a", "x", "-s", "x"),
		`--bucket: "s3://b" is not the name of a bucket`:        append(s3, "-b", "s3://b", "-a", "x", "-s", "x"),
		"--endpoint: the Location.endpoint must be an http":     append(s3, "-b", "b", "-a", "x", "-s", "x", "-e", "ftp://minio:9000"),
		"must hold no user, password or query":                  append(s3, "-b", "b", "-a", "x", "-s", "x", "-e", "http://u:p@h"),
		`--prefix: path "../b" has an element`:                  append(s3, "-b", "b", "-a", "x", "-s", "x", "-p", "../b"),
		"the storage key is not base64":                         {"create", "profile", "azure", "-b", "b", "-a", "x", "-s", "not base64!", "--dry-run"},
		`azure_storage_environment "Moon" is unknown`:           {"create", "profile", "azure", "-b", "b", "-a", "x", "-s", "a2V5", "--storage-env", "Moon", "--dry-run"},
		`environment "Moon" is unknown`:                         {"create", "profile", "azure", "-b", "b", "-a", "x", "--storage-env", "Moon", "--dry-run"},
		`--name: "A b" is not a valid name`:                     append(s3, "-b", "b", "-a", "x", "-s", "x", "--name", "A b"),
		"--service-key: the file is not a Google credential":    {"create", "profile", "gcp", "-a", "p", "-s", "doc.go", "-b", "b"},
		"--storage-account is required":                         {"create", "profile", "azure", "-b", "b", "-s", "x"},
		"which kind of store? s3compliant, gcp or azure":        {"create", "profile"},
	} {
		got := offline(t, args...)
		assert.Equal(t, 1, got.code)
		assert.Contains(t, got.err, want)
		assert.Empty(t, got.out)
	}
	// Kanister's tools take an endpoint without a scheme for https, and so do stores here.
	got := offline(t, append(s3, "-b", "b", "-a", "id", "-s", "clear", "-e", "minio:9000")...)
	require.Zero(t, got.code, got.err)
	assert.Equal(t, "Warning: the output holds the keys in clear text\n", got.err)
	documents := strings.Split(got.out, "---\n")
	require.Len(t, documents, 2)
	var secret corev1.Secret
	require.NoError(t, yaml.UnmarshalStrict([]byte(documents[0]), &secret))
	assert.Equal(t, "clear", secret.StringData["aws_secret_access_key"])
	var profile kanister.Profile
	require.NoError(t, yaml.UnmarshalStrict([]byte(documents[1]), &profile))
	assert.Equal(t, secret.Name, profile.Credential.KeyPair.Secret.Name)
	assert.Equal(t, "db", profile.Namespace)

	// As Kanister's instructions for RDS have it.
	got = offline(t, append(s3, "--access-key", "id", "--secret-key", "clear", "--region", "eu-west-1")...)
	require.Zero(t, got.code, got.err)
	assert.Contains(t, got.err, "without --bucket the Profile is for the functions of RDS alone")
	assert.Contains(t, got.out, "location:\n  region: eu-west-1\n  type: s3Compliant\n")
}
