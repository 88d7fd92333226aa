//go:build e2e

package e2e

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// The canaries. They are split so that this file's own text is never found.
var canaries = []string{"canary" + "-in-a-phase-object", "canary" + "-in-an-action-secret", "canary" + "-in-the-object", "canary" + "-secret-key-of-the-profile"}

const canaryManifests = `
apiVersion: v1
kind: Secret
metadata: {name: phase, namespace: "{ns}"}
stringData: {password: canary-in-a-phase-object}
---
apiVersion: v1
kind: Secret
metadata: {name: action, namespace: "{ns}"}
stringData: {password: canary-in-an-action-secret}
---
apiVersion: v1
kind: Secret
metadata: {name: object, namespace: "{ns}"}
stringData: {password: canary-in-the-object}
---
apiVersion: v1
kind: Secret
metadata: {name: profile, namespace: "{ns}"}
stringData: {id: someone, key: canary-secret-key-of-the-profile}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Profile
metadata: {name: profile, namespace: "{ns}"}
location: {type: s3Compliant, bucket: b, endpoint: "http://s3.s3.svc:7070", region: us-east-1}
credential: {type: keyPair, keyPair: {idField: id, secretField: key, secret: {name: profile, namespace: "{ns}"}}}
---
apiVersion: cr.kanister.io/v1alpha1
kind: Blueprint
metadata: {name: canary, namespace: "{ns}"}
actions:
  # Prints all that it knows, and fails.
  leak: &leak
    phases:
      - func: KubeTask
        name: print
        objects: {o: {kind: Secret, name: phase, namespace: "{ns}"}}
        args:
          namespace: "{ns}"
          image: busybox
          command:
            - sh
            - -xc
            - |
              : '{{ .Phases.print.Secrets.o.Data.password | toString }}'
              echo 'in a line: {{ .Secrets.a.Data.password | toString }} {{ .Object.data.password }}'
              echo '{{ .Object.data.password | b64dec }}' '{{ toJson .Profile }}'
              exit {{ .Options.code }}
  # Publishes what it should not.
  publish:
    phases:
      - func: KubeTask
        name: tell
        objects: {o: {kind: Secret, name: phase, namespace: "{ns}"}}
        args:
          namespace: "{ns}"
          image: busybox
          command: [sh, -c, 'echo "###Phase-output###: {\"key\":\"password\",\"value\":\"so: {{ .Phases.tell.Secrets.o.Data.password | toString }}\"}"']
  # Cannot be rendered, on a line that holds a secret.
  unrenderable:
    phases:
      - func: KubeTask
        name: render
        objects: {o: {kind: Secret, name: phase, namespace: "{ns}"}}
        args:
          namespace: "{ns}"
          image: busybox
          command: [echo, '{{ index (.Phases.render.Secrets.o.Data.password | toString) "x" }}{{ .Secrets.a.Data.password | toString | b64dec | toDate "2006" | nosuch.field }}']
  unrenderable2:
    phases:
      - func: KubeTask
        name: render
        objects: {o: {kind: Secret, name: phase, namespace: "{ns}"}}
        args:
          namespace: "{ns}"
          image: '{{ .Phases.render.Secrets.o.Data.password | toString }}'
          command: [echo, '{{ (.Phases.render.Secrets.o.Data.password | toString).field }}']
  badimage:
    phases:
      - func: KubeTask
        name: image
        objects: {o: {kind: Secret, name: phase, namespace: "{ns}"}}
        args:
          namespace: "{ns}"
          image: 'localhost:1/{{ .Phases.image.Secrets.o.Data.password | toString }}'
          command: ["true"]
`

// TestNoSecretLeaves runs blueprints that do their worst with secrets, and then
// looks for the values everywhere that Salvor writes to.
func TestNoSecretLeaves(t *testing.T) {
	const ns = "e2e-secret"
	apply(t, ns, canaryManifests)
	const rest = `blueprint: canary, object: {apiVersion: v1, resource: secrets, name: object, namespace: "{ns}"},
		secrets: {a: {name: action, namespace: "{ns}"}}, profile: {name: profile, namespace: "{ns}"}`
	var all []*kanister.ActionSet
	for name, action := range map[string]string{
		"leak-ok": "leak", "leak-failed": "leak", "unrenderable": "unrenderable", "unrenderable2": "unrenderable2", "badimage": "badimage", "publish": "publish",
	} {
		code := "0"
		if name != "leak-ok" {
			code = "1"
		}
		start(t, ns, name, `{name: `+action+`, options: {code: "`+code+`"}, `+rest+`}`)
	}
	for _, name := range []string{"leak-ok", "leak-failed", "unrenderable", "unrenderable2", "badimage", "publish"} {
		got := ended(t, ns, name)
		all = append(all, got)
		if name == "leak-ok" {
			require.Equal(t, kanister.StateComplete, got.Status.State, got.Status.Error.Message)
		} else {
			assert.Equal(t, kanister.StateFailed, got.Status.State, name)
		}
		t.Logf("%s: %s", name, got.Status.Error.Message)
	}
	assert.Contains(t, all[1].Status.Error.Message, "in a line: ***", "the log's end is shown, without the values")

	statuses, err := suite.tools.Kubectl(t.Context(), "get", "actionsets", "-n", ns, "-o", "yaml")
	require.NoError(t, err)
	clean(t, "the ActionSets", []byte(statuses))
	events, err := suite.tools.Kubectl(t.Context(), "get", "events", "-n", ns, "-o", "yaml", "--field-selector", "involvedObject.kind=ActionSet")
	require.NoError(t, err)
	clean(t, "the Kubernetes Events of the ActionSets", []byte(events))
	logs, err := suite.tools.Kubectl(t.Context(), "logs", "-n", "salvor", "salvor-0", "--tail=-1")
	require.NoError(t, err)
	require.Contains(t, logs, "leak-failed", "the log is the right one")
	clean(t, "Salvor's log", []byte(logs))
	cleanStreams(t)
}

// cleanStreams reads the files of the embedded JetStream server on the volume:
// every stream, bucket and consumer.
func cleanStreams(t *testing.T) {
	t.Helper()
	claim, err := suite.clients.Kube.CoreV1().PersistentVolumeClaims("salvor").Get(t.Context(), "data-salvor-0", metav1.GetOptions{})
	require.NoError(t, err)
	volume, err := suite.clients.Kube.CoreV1().PersistentVolumes().Get(t.Context(), claim.Spec.VolumeName, metav1.GetOptions{})
	require.NoError(t, err)
	var dir string
	switch {
	case volume.Spec.HostPath != nil:
		dir = volume.Spec.HostPath.Path
	case volume.Spec.Local != nil:
		dir = volume.Spec.Local.Path
	default:
		t.Log("the volume is not a directory of this machine: the streams' files were not read")
		return
	}
	var files int
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		require.NoError(t, err)
		files++
		clean(t, strings.TrimPrefix(path, dir), content)
		return nil
	}))
	require.NotZero(t, files)
	t.Logf("%d files of the streams hold no canary", files)
}

func clean(t *testing.T, what string, content []byte) {
	t.Helper()
	for _, canary := range canaries {
		for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))} {
			assert.False(t, bytes.Contains(content, []byte(form)), "%s holds %q", what, form)
		}
	}
}
