package builds

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSelect(t *testing.T) {
	chosen, err := Select([]string{"kubernetes", "etcd"})
	require.NoError(t, err)
	require.Len(t, chosen, 2)
	require.Equal(t, "etcd", chosen[0].Name, "in build order")
	all, err := Select(nil)
	require.NoError(t, err)
	require.Equal(t, Components(), all)
	_, err = Select([]string{"kubernets"})
	require.ErrorContains(t, err, `kubernets: no such component; there are etcd, kubernetes`)
}

func TestEveryComponentHasItsPins(t *testing.T) {
	for _, component := range Components() {
		pins := "go.mod"
		if component.Node {
			pins = "package-lock.json"
		}
		require.FileExists(t, filepath.Join("..", "build", component.Name, pins))
		require.Len(t, component.Outputs, len(component.Packages), component.Name)
	}
}

func TestStampChangesWithEveryInput(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	component := Component{Name: "x", Packages: []string{"."}, Outputs: []string{"x"}}
	stamp := func(c Component, version string) string {
		got, err := c.stamp(dir, version)
		require.NoError(t, err)
		return got
	}
	_, err := component.stamp(dir, "go1.26")
	require.ErrorContains(t, err, "no go.mod")
	write("go.mod", "module x")
	base := stamp(component, "go1.26")
	require.Equal(t, base, stamp(component, "go1.26"))
	require.NotEqual(t, base, stamp(component, "go1.27"))
	flags := component
	flags.LDFlags = "-X a=b"
	require.NotEqual(t, base, stamp(flags, "go1.26"))
	write("README.md", "not an input")
	require.Equal(t, base, stamp(component, "go1.26"))
	for _, name := range []string{"go.mod", "go.sum", "main.go", "package-lock.json"} {
		write(name, "changed")
		changed := stamp(component, "go1.26")
		require.NotEqual(t, base, changed, name)
		base = changed
	}
}

func TestFresh(t *testing.T) {
	bin := t.TempDir()
	component := Component{Name: "x", Outputs: []string{"x"}, Links: []string{"y"}}
	fresh := func() bool {
		got, err := component.fresh(bin, "stamp")
		require.NoError(t, err)
		return got
	}
	require.False(t, fresh(), "nothing was built")
	require.NoError(t, os.WriteFile(component.stampFile(bin), []byte("stamp\n"), 0o600))
	require.False(t, fresh(), "the program is missing")
	require.NoError(t, os.WriteFile(filepath.Join(bin, "x"), nil, 0o700))
	require.False(t, fresh(), "the link is missing")
	require.NoError(t, os.Symlink("x", filepath.Join(bin, "y")))
	require.True(t, fresh())
	require.NoError(t, os.WriteFile(component.stampFile(bin), []byte("older\n"), 0o600))
	require.False(t, fresh(), "built from other inputs")
}

func TestIsPackage(t *testing.T) {
	require.True(t, isPackage("k8s.io/kubernetes/cmd/kubelet/app"))
	require.False(t, isPackage("# k8s.io/kubernetes"))
	require.False(t, isPackage("./main.go:80:12: assignment mismatch"))
	require.False(t, isPackage("go: downloading k8s.io/api v0.37.2"))
}
