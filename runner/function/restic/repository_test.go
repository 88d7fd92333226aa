package restic

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/profile"
)

// Kanister's facts, for every kind of store and credential: the variables, the URL, the
// bucket before the prefix once.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	pair := profile.Credential{Type: profile.CredentialKeyPair, KeyPair: &profile.KeyPair{ID: "id", Secret: "se"}}
	secret := func(kind string, data map[string]string) profile.Credential {
		s := &profile.Secret{Type: kind, Data: map[string][]byte{}}
		for k, v := range data {
			s.Data[k] = []byte(v)
		}
		return profile.Credential{Type: profile.CredentialSecret, Secret: s}
	}
	for name, tc := range map[string]struct {
		location   profile.Location
		credential profile.Credential
		prefix     string
		want       map[string]string
	}{
		"S3": {
			profile.Location{Type: profile.LocationS3, Bucket: "bk"},
			pair, "a/b",
			map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "se", "RESTIC_REPOSITORY": "s3:s3.amazonaws.com/bk/a/b"},
		},
		"S3 elsewhere, the profile's prefix counts for nothing": {
			profile.Location{Type: profile.LocationS3, Bucket: "bk", Endpoint: "http://minio:9000//", Prefix: "p", Region: "eu"},
			pair, "bk/a",
			map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "se", "RESTIC_REPOSITORY": "s3:http://minio:9000/bk/a"},
		},
		"a prefix that only begins like the bucket": {
			profile.Location{Type: profile.LocationS3, Bucket: "bk"},
			pair, "bk2/a",
			map[string]string{"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "se", "RESTIC_REPOSITORY": "s3:s3.amazonaws.com/bk/bk2/a"},
		},
		"S3 with a Secret": {
			profile.Location{Type: profile.LocationS3, Bucket: "bk"},
			secret(profile.SecretAWS, map[string]string{"aws_access_key_id": "i", "aws_secret_access_key": "s", "aws_session_token": "t"}), "a",
			map[string]string{"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "RESTIC_REPOSITORY": "s3:s3.amazonaws.com/bk/a"},
		},
		"newlines at the end of values": {
			profile.Location{Type: profile.LocationS3, Bucket: "bk"},
			secret(profile.SecretAWS, map[string]string{"aws_access_key_id": "i\n", "aws_secret_access_key": "s\n", "aws_session_token": "t\r\n", "role": "\n"}), "a",
			map[string]string{"AWS_ACCESS_KEY_ID": "i", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t", "RESTIC_REPOSITORY": "s3:s3.amazonaws.com/bk/a"},
		},
		"Google": {
			profile.Location{Type: profile.LocationGCS, Bucket: "bk"},
			pair, "a/b",
			map[string]string{"GOOGLE_PROJECT_ID": "id", "SALVOR_GOOGLE_CREDENTIALS": "se", "RESTIC_REPOSITORY": "gs:bk:/a/b/"},
		},
		"Google with a Secret": {
			profile.Location{Type: profile.LocationGCS, Bucket: "bk"},
			secret(profile.SecretGCP, map[string]string{"gcp_project_id": "i", "gcp_service_key": "{}"}), "bk/a",
			map[string]string{"GOOGLE_PROJECT_ID": "i", "SALVOR_GOOGLE_CREDENTIALS": "{}", "RESTIC_REPOSITORY": "gs:bk:/a/"},
		},
		"Azure": {
			profile.Location{Type: profile.LocationAzure, Bucket: "bk"},
			pair, "a",
			map[string]string{"AZURE_ACCOUNT_NAME": "id", "AZURE_ACCOUNT_KEY": "se", "RESTIC_REPOSITORY": "azure:bk:/a/"},
		},
		"Azure with newlines": {
			profile.Location{Type: profile.LocationAzure, Bucket: "bk"},
			secret(profile.SecretAzure, map[string]string{"azure_storage_account_id": "i\n", "azure_storage_key": "k\n", "azure_storage_environment": "AzureChinaCloud\n"}), "a",
			map[string]string{"AZURE_ACCOUNT_NAME": "i", "AZURE_ACCOUNT_KEY": "k", "AZURE_ENDPOINT_SUFFIX": "core.chinacloudapi.cn", "RESTIC_REPOSITORY": "azure:bk:/a/"},
		},
		"Azure with a Secret": {
			profile.Location{Type: profile.LocationAzure, Bucket: "bk"},
			secret(profile.SecretAzure, map[string]string{"azure_storage_account_id": "i", "azure_storage_key": "k", "azure_storage_environment": "AzureUSGovernmentCloud"}), "a",
			map[string]string{"AZURE_ACCOUNT_NAME": "i", "AZURE_ACCOUNT_KEY": "k", "AZURE_ENDPOINT_SUFFIX": "core.usgovcloudapi.net", "RESTIC_REPOSITORY": "azure:bk:/a/"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &access{profile: &profile.Profile{Location: tc.location, Credential: tc.credential, CABundle: "pem"}, password: "pw", insecure: true}
			env, err := a.env(t.Context(), a.location(tc.prefix))
			require.NoError(t, err)
			tc.want["RESTIC_PASSWORD"], tc.want["SALVOR_INSECURE_TLS"], tc.want["SALVOR_CA_BUNDLE"] = "pw", "true", "pem"
			assert.Equal(t, tc.want, env)
		})
	}
	assert.Equal(t, "9f735e0df9a1ddc702bf0a1a7b83033f9f7153a00c29de82cedadc9957289b05", defaultPassword())
}

func TestARoleIsAssumed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseForm())
		assert.Equal(t, "arn:aws:iam::1:role/backup", r.Form.Get("RoleArn"))
		assert.Equal(t, "3600", r.Form.Get("DurationSeconds"), "a backup may take longer than the quarter of an hour that is the default")
		_, _ = w.Write([]byte(`<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>tid</AccessKeyId>` +
			`<SecretAccessKey>tse</SecretAccessKey><SessionToken>tto</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`))
	}))
	t.Cleanup(server.Close)
	a := &access{password: "pw", profile: &profile.Profile{
		Location: profile.Location{Type: profile.LocationS3, Bucket: "bk", Endpoint: server.URL},
		Credential: profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{Type: profile.SecretAWS, Data: map[string][]byte{
			"aws_access_key_id": []byte("i"), "aws_secret_access_key": []byte("s"), "role": []byte("arn:aws:iam::1:role/backup"),
		}}},
	}}
	env, err := a.env(t.Context(), "bk/a")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{
		"AWS_ACCESS_KEY_ID": "tid", "AWS_SECRET_ACCESS_KEY": "tse", "AWS_SESSION_TOKEN": "tto",
		"RESTIC_PASSWORD": "pw", "RESTIC_REPOSITORY": "s3:" + server.URL + "/bk/a",
	}, env)
}

// Salvor's own identity is not what opens a tenant's store: the keys of the role would go
// to a pod of the tenant's.
func TestARoleWithoutKeysIsNotAssumedAsSalvor(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the role was asked for")
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "of-salvor")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "of-salvor")
	for name, id := range map[string][]byte{"none": nil, "empty": {}, "blank": []byte("\n")} {
		a := &access{password: "pw", profile: &profile.Profile{
			Location: profile.Location{Type: profile.LocationS3, Bucket: "bk", Endpoint: server.URL},
			Credential: profile.Credential{Type: profile.CredentialSecret, Secret: &profile.Secret{Type: profile.SecretAWS, Data: map[string][]byte{
				"aws_access_key_id": id, "aws_secret_access_key": id, "role": []byte("arn:aws:iam::1:role/backup"),
			}}},
		}}
		_, err := a.env(t.Context(), "bk/a")
		require.ErrorContains(t, err, "aws_access_key_id", name)
	}
}

// shells are those of images that people have; all of them must run the scripts.
func shells(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	for name, args := range map[string][]string{"sh": {"sh"}, "bash": {"bash"}, "busybox": {"busybox", "sh"}} {
		if _, err := exec.LookPath(args[0]); err == nil {
			found[name] = args
		}
	}
	return found
}

// What comes over standard input reaches the environment byte for byte, and the rest of
// the script is run once all of it is there.
func TestAssignmentsOverStdin(t *testing.T) {
	t.Parallel()
	const nasty = "line 1\n  it's $HOME `id` \\n \"quoted\"\n\nlast"
	text := assignments(map[string]string{"NASTY": nasty, "PLAIN": "x"})
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(in string) (string, error) {
				args := execCommand(`printf '%s|%s|%s|%s' "$NASTY" "$PLAIN" "$1" "$(cat)"`, "it's")[2:]
				args[0] = strings.Replace(args[0], prelude, "", 1)
				cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:], append([]string{"-c"}, args...)...)...)
				cmd.Stdin = strings.NewReader(in)
				out, err := cmd.Output()
				return string(out), err
			}
			out, err := run(text + "what is after it is not read\n")
			require.NoError(t, err)
			assert.Equal(t, nasty+"|x|it's|", out)
			out, err = run(strings.TrimSuffix(text, stdinEnd+"\n"))
			require.Error(t, err, "it was cut")
			assert.Empty(t, out)
		})
	}
}

// What the scripts publish is JSON, whatever restic says.
func TestEmit(t *testing.T) {
	t.Parallel()
	for name, shell := range shells(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := `{"path":"C:\\x","n":1,"é":"\"*[a]?\""}`
			args := command(`emit key "$1"; emit empty ''`, said)[1:]
			out, err := exec.CommandContext(t.Context(), shell[0], append(shell[1:], args...)...).Output()
			require.NoError(t, err)
			assert.Equal(t, "\n###Phase-output###: {\"key\":\"key\",\"value\":\"{\\\"path\\\":\\\"C:\\\\\\\\x\\\",\\\"n\\\":1,\\\"é\\\":\\\"\\\\\\\"*[a]?\\\\\\\"\\\"}\"}\n\n###Phase-output###: {\"key\":\"empty\",\"value\":\"\"}\n", string(out))
		})
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	k := event.Key{UID: "u", Namespace: "n", Kind: event.KindCore, Attempt: 1}
	first := tag(k, "")
	assert.Regexp(t, `^[bcdfghjklmnpqrstvwxz2456789]{10}$`, first)
	k.Attempt = 2
	assert.Equal(t, first, tag(k, ""))
	assert.NotEqual(t, first, tag(k, "db-0"))
	k.Phase = 1
	assert.NotEqual(t, first, tag(k, ""))
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for text, bytes := range map[string]uint64{
		"0 B": 0, "1023 B": 1023, "1.000 KiB": 1 << 10, "1.500 MiB": 3 << 19, "2.000 GiB": 2 << 30, "1.000 TiB": 1 << 40,
	} {
		assert.Equal(t, text, formatSize(bytes))
		assert.Equal(t, bytes, parseSize(text))
	}
	for _, text := range []string{"", "x", "-1 B", "B"} {
		assert.Zero(t, parseSize(text), text)
	}
}
