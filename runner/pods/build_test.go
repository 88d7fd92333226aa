package pods

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

var update = flag.Bool("update", false, "write the golden files")

func testCall() *function.Call {
	return &function.Call{
		Key:       event.Key{UID: "0b7ae8f4-2f1c-4f5a-9a4e-7d2f0c1b2a3d", Namespace: "shop", Action: 0, Kind: event.KindCore, Phase: 1, Attempt: 2},
		ActionSet: "backup-x7k2p", Action: "backup", Phase: "dump",
		Labels: map[string]string{"kanister.io/JobID": "nightly-7", "salvor.io/x": "y"},
		Log:    zerolog.Nop(),
	}
}

func testDraft(change func(*draft)) *draft {
	d := &draft{
		call:      testCall(),
		spec:      function.PodSpec{Image: "postgres:15", Command: []string{"bash", "-c", "pg_dump"}},
		namespace: "shop", readOnly: map[string]bool{},
	}
	change(d)
	return d
}

func TestBuild(t *testing.T) {
	tests := map[string]func(*draft){
		"plain": func(*draft) {},
		"volumes": func(d *draft) {
			d.spec.Volumes = map[string]string{"data-1": "/data", "archive": "/archive"}
			d.readOnly = map[string]bool{"archive": true}
			d.serviceAccount = "mover"
		},
		"labels": func(d *draft) {
			d.actionSet.labels = map[string]string{"team": "actionset", "createdBy": "actionset", "a": "1", LabelRun: "forged"}
			d.spec.Labels = map[string]string{"team": "blueprint", "b": "2", LabelAttempt: "9"}
			d.actionSet.annotations = map[string]string{"note": "actionset", "a": "1"}
			d.spec.Annotations = map[string]string{"note": "blueprint", AnnotationActionSet: "forged"}
		},
		"override": func(d *draft) {
			d.spec.Override = map[string]any{
				"nodeSelector": map[string]any{"disk": "blueprint", "zone": "b"},
				"tolerations":  []any{map[string]any{"key": "blueprint", "operator": "Exists"}},
				"containers": []any{
					map[string]any{"name": "container", "env": []any{
						map[string]any{"name": "A", "value": "blueprint"}, map[string]any{"name": "B", "value": "blueprint"},
					}},
					map[string]any{"name": "sidecar", "image": "proxy:1"},
				},
			}
			d.actionSet.override = map[string]any{
				"nodeSelector": map[string]any{"disk": "actionset"},
				"tolerations":  []any{map[string]any{"key": "actionset", "operator": "Exists"}},
				"containers": []any{map[string]any{
					"name": "container", "image": "postgres:15.4",
					"env":       []any{map[string]any{"name": "A", "value": "actionset"}},
					"resources": map[string]any{"limits": map[string]any{"memory": "1Gi"}},
				}},
			}
		},
		"restricted": func(d *draft) {
			d.restricted = true
			d.spec.Override = map[string]any{
				"securityContext": map[string]any{"runAsUser": int64(999)},
				"containers": []any{map[string]any{"name": "container", "securityContext": map[string]any{
					"capabilities": map[string]any{"add": []any{"NET_BIND_SERVICE"}},
				}}},
				"initContainers": []any{map[string]any{"name": "prepare", "image": "busybox"}},
			}
		},
		"privileged": func(d *draft) {
			d.spec.Override = map[string]any{"containers": []any{map[string]any{
				"name": "container", "securityContext": map[string]any{"privileged": true},
			}}}
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			pod, warnings, err := build(testDraft(change))
			require.NoError(t, err)
			assert.Empty(t, warnings)
			got, err := yaml.Marshal(pod)
			require.NoError(t, err)
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				require.NoError(t, os.WriteFile(golden, got, 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got), "run with -update if the change is meant")

			id, err := identify(pod)
			require.NoError(t, err)
			assert.Equal(t, Identity{Key: testCall().Key, ActionSet: "backup-x7k2p"}, id)
		})
	}
}

func TestBuildRefuses(t *testing.T) {
	tests := map[string]struct {
		change func(*draft)
		want   string
	}{
		"no image":    {func(d *draft) { d.spec.Image = " " }, "argument image is empty"},
		"no command":  {func(d *draft) { d.spec.Command = nil }, "argument command is empty"},
		"not a claim": {func(d *draft) { d.spec.Volumes = map[string]string{"A b": "/x"} }, `"A b" is not the name of a PersistentVolumeClaim`},
		"no path":     {func(d *draft) { d.spec.Volumes = map[string]string{"a": ""} }, "claim a has no path"},
		"wrong type":  {func(d *draft) { d.spec.Override = map[string]any{"nodeSelector": "x"} }, "the Blueprint's podOverride does not fit"},
		"nameless container": {func(d *draft) {
			d.actionSet.override = map[string]any{"containers": []any{map[string]any{"image": "x"}}}
		}, "each entry needs one"},
		"main removed": {func(d *draft) {
			d.actionSet.override = map[string]any{"containers": []any{map[string]any{"name": "container", "$patch": "delete"}}}
		}, `removes the container "container"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := build(testDraft(tt.change))
			require.ErrorContains(t, err, tt.want)
			var reasoned *function.Error
			require.ErrorAs(t, err, &reasoned)
			assert.Equal(t, event.ReasonInvalid, reasoned.Reason)
		})
	}
}

func TestUnknownFieldsOfAnOverrideAreNamed(t *testing.T) {
	pod, warnings, err := build(testDraft(func(d *draft) {
		d.spec.Override = map[string]any{"nodeSelectr": map[string]any{"a": "b"}, "hostname": "x"}
	}))
	require.NoError(t, err)
	assert.Equal(t, "x", pod.Spec.Hostname)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "nodeSelectr")
}

func TestModifyComesLastAndNamesTheMainContainer(t *testing.T) {
	pod, _, err := build(testDraft(func(d *draft) {
		d.spec.Modify = func(p *corev1.Pod) {
			p.Annotations[annotationMain] = "output"
			p.Spec.Containers[0].Name = "output"
		}
	}))
	require.NoError(t, err)
	assert.Equal(t, "output", mainContainer(pod))
}

func TestIdentifyRefusesHalfAnIdentity(t *testing.T) {
	for _, label := range []string{LabelRun, LabelNamespace, LabelAction, LabelPhase, LabelAttempt} {
		for _, value := range []string{"", "x-y"} {
			if label == LabelRun && value != "" || label == LabelNamespace && value != "" {
				continue
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: identityLabels(testCall().Key)}}
			pod.Labels[label] = value
			_, err := identify(pod)
			require.ErrorContains(t, err, label)
			assert.False(t, owns(testCall().Key, pod))
		}
	}
}

func TestWindowsPodsAreLeftAlone(t *testing.T) {
	spec := corev1.PodSpec{OS: &corev1.PodOS{Name: corev1.Windows}, Containers: []corev1.Container{{Name: "container"}}}
	secure(&spec, true)
	assert.Nil(t, spec.SecurityContext)
	assert.Nil(t, spec.Containers[0].SecurityContext)
}

func TestOnlyReadOnlyMany(t *testing.T) {
	for _, tt := range []struct {
		modes []corev1.PersistentVolumeAccessMode
		want  bool
	}{
		{nil, false},
		{[]corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}, true},
		{[]corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteOnce}, false},
		{[]corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany}, false},
	} {
		claim := &corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{AccessModes: tt.modes}}
		assert.Equal(t, tt.want, onlyReadOnlyMany(claim), "%v", tt.modes)
	}
}

func TestSecureKeepsWhatIsSet(t *testing.T) {
	spec := corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(false), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}},
		Containers:      []corev1.Container{{SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(true)}}},
	}
	secure(&spec, true)
	assert.False(t, *spec.SecurityContext.RunAsNonRoot)
	assert.Equal(t, corev1.SeccompProfileTypeUnconfined, spec.SecurityContext.SeccompProfile.Type)
	assert.True(t, *spec.Containers[0].SecurityContext.AllowPrivilegeEscalation)
}
