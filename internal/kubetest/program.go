package kubetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Dir is a folder that lives as long as the server.
func (s *Server) Dir() string { return s.dir }

// RunProgram runs a program from the folder of the binaries until the server stops.
// A program that ends before does so silently: what it should have done is missing,
// and its output is in Dir, in NAME.log.
func (s *Server) RunProgram(name string, args ...string) error {
	path, err := Program(name)
	if err != nil {
		return err
	}
	program, err := startProcess(s.dir, path, args...)
	if err != nil {
		return err
	}
	// It goes before the server, which it would miss.
	s.processes = append([]*process{program}, s.processes...)
	return nil
}

// Program is the path of what the local cluster's build has made: a program or a
// folder. The error says how to build it.
func Program(name string) (string, error) {
	dir, err := folder()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w; run `make test-tools`, or set %s to the folder that has it", err, variable)
	}
	return path, nil
}

// folder is where the binaries are.
func folder() (string, error) {
	if dir := os.Getenv(variable); dir != "" {
		return dir, nil
	}
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, ".local", "bin"), nil
}

// Kubeconfig writes the administrator's kubeconfig into a temporary folder of
// t and returns its path, for tests of a command line.
func (s *Server) Kubeconfig(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := s.WriteKubeconfig(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// WriteKubeconfig writes the administrator's kubeconfig.
func (s *Server) WriteKubeconfig(path string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["kubetest"] = &clientcmdapi.Cluster{
		Server:               s.config.Host,
		CertificateAuthority: s.config.CAFile,
	}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: s.config.BearerToken}
	config.Contexts["kubetest"] = &clientcmdapi.Context{Cluster: "kubetest", AuthInfo: "admin"}
	config.CurrentContext = "kubetest"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}

// Logs is the end of the output of every program that runs for the server.
func (s *Server) Logs() string {
	var all strings.Builder
	for _, p := range s.processes {
		fmt.Fprintf(&all, "--- %s\n%s\n", p.name, p.tail())
	}
	return all.String()
}
