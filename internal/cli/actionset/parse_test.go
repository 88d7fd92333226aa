package actionset

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

func TestParseOptions(t *testing.T) {
	for name, c := range map[string]struct {
		lists, single []string
		want          map[string]string
	}{
		"none":                     {nil, nil, nil},
		"kanctl's list":            {[]string{"a=1,b=2"}, nil, map[string]string{"a": "1", "b": "2"}},
		"spaces":                   {[]string{"a=1, b=2"}, nil, map[string]string{"a": "1", "b": "2"}},
		"kept as they are":         {[]string{"a= 1 ,b=x\n", " "}, nil, map[string]string{"a": " 1 ", "b": "x\n"}},
		"repeated":                 {[]string{"a=1", "b=2"}, nil, map[string]string{"a": "1", "b": "2"}},
		"the last wins":            {[]string{"a=1", "a=2"}, nil, map[string]string{"a": "2"}},
		"equal signs in the value": {[]string{"where=x=y==z"}, nil, map[string]string{"where": "x=y==z"}},
		"base64":                   {[]string{"key=YWJj=,b=ZA=="}, nil, map[string]string{"key": "YWJj=", "b": "ZA=="}},
		"commas in the value":      {[]string{"tables=a,b,c,keep=7"}, nil, map[string]string{"tables": "a,b,c", "keep": "7"}},
		"quoted as CSV":            {[]string{`"args=x,y=z",b=2`}, nil, map[string]string{"args": "x,y=z", "b": "2"}},
		"JSON":                     {[]string{`json={"a":"b","c=d":1}`}, nil, map[string]string{"json": `{"a":"b","c=d":1}`}},
		"empty value":              {[]string{"a="}, nil, map[string]string{"a": ""}},
		"to the letter":            {nil, []string{` a = b,c=d `}, map[string]string{"a": " b,c=d "}},
		"the letter wins":          {[]string{"a=1"}, []string{"a=2,b=3"}, map[string]string{"a": "2,b=3"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseOptions(c.lists, c.single)
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
	_, err := parseOptions([]string{"novalue"}, nil)
	require.EqualError(t, err, `--options: "novalue" is not key=value`)
	_, err = parseOptions(nil, []string{"=x"})
	require.EqualError(t, err, `--option: "=x" is not key=value`)
}

func TestParseGeneric(t *testing.T) {
	for text, want := range map[string]kanister.ObjectReference{
		"apps/v1/statefulsets/db/pg": {Group: "apps", APIVersion: "v1", Resource: "statefulsets", Namespace: "db", Name: "pg"},
		"v1/secrets/db/s.x-y":        {APIVersion: "v1", Resource: "secrets", Namespace: "db", Name: "s.x-y"},
		"/v1/configmaps/db/c":        {APIVersion: "v1", Resource: "configmaps", Namespace: "db", Name: "c"},
		"postgresql.cnpg.io/v1/clusters/db/main": {
			Group: "postgresql.cnpg.io", APIVersion: "v1", Resource: "clusters", Namespace: "db", Name: "main",
		},
	} {
		got, err := parseGeneric(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "db/pg", "apps/v1/statefulsets/db", "a/b/c/d/e/f", "apps/v1/statefulsets//pg"} {
		_, err := parseGeneric(text)
		require.ErrorContains(t, err, "group/version/resource/namespace/name", text)
	}
}

func TestParseRefuses(t *testing.T) {
	ok := func() Flags {
		return Flags{Action: "backup", Blueprint: "pg", StatefulSets: []string{"db/pg"}, Kind: kindAll}
	}
	good := ok()
	_, err := good.Parse("db")
	require.NoError(t, err)
	for want, change := range map[string]func(*Flags){
		"--action is required unless --from is given":    func(f *Flags) { f.Action = "" },
		"--blueprint is required unless --from is given": func(f *Flags) { f.Blueprint = "" },
		"nothing to work on":                             func(f *Flags) { f.StatefulSets = nil },
		`--statefulset: "pg" is not namespace/name`:      func(f *Flags) { f.StatefulSets = []string{"pg"} },
		`--deployment: "a/b/c" is not namespace/name`:    func(f *Flags) { f.Deployments = []string{"a/b/c"} },
		`--pvc: "a/b?" is not namespace/name`:            func(f *Flags) { f.PVCs = []string{"a/b?"} },
		`--deploymentconfig: "x" is not`:                 func(f *Flags) { f.DeploymentConfigs = []string{"x"} },
		`--namespacetargets: "A_b" is not the name`:      func(f *Flags) { f.NamespaceTargets = []string{"A_b"} },
		`--secrets: "x" is not ref=namespace/name`:       func(f *Flags) { f.Secrets = []string{"x"} },
		`--config-maps: x is given twice, as a/b and`:    func(f *Flags) { f.ConfigMaps = []string{"x=a/b", "x=a/c"} },
		`--profile: "a/b/c" is neither name nor`:         func(f *Flags) { f.Profile = "a/b/c" },
		`--name: "Not valid" is not a valid name`:        func(f *Flags) { f.Name = "Not valid" },
		`--labels: the key "a b" is not valid`:           func(f *Flags) { f.Labels = "a b=c" },
		`--labels: the value "x y" of a is not valid`:    func(f *Flags) { f.Labels = "a=x y" },
		`--podlabels: "a" is not key=value`:              func(f *Flags) { f.PodLabels = "a" },
		`--podannotations: "=b" is not key=value`:        func(f *Flags) { f.PodAnnotations = "=b" },
		`--kind: "pod" is not one of`:                    func(f *Flags) { f.Kind = "pod" },
		"--selector: ":                                   func(f *Flags) { f.Selector = "a in" },
		"--repository-server is not supported":           func(f *Flags) { f.RepositoryServer = "a/b" },
	} {
		flags := ok()
		change(&flags)
		_, err := flags.Parse("db")
		require.ErrorContains(t, err, want)
	}
}
