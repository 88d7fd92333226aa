package kubetest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// variable names the folder of the binaries when it is not .local/bin.
const variable = "SALVOR_LOCAL_BIN"

type binaries struct {
	etcd, apiserver string
}

func findBinaries() (binaries, error) {
	dir, err := folder()
	if err != nil {
		return binaries{}, err
	}
	found := binaries{etcd: filepath.Join(dir, "etcd"), apiserver: filepath.Join(dir, "kube-apiserver")}
	for _, path := range []string{found.etcd, found.apiserver} {
		info, err := os.Stat(path)
		if err != nil {
			return binaries{}, fmt.Errorf("tests against a real API server need %s: %w; run `make kubernetes`, or set %s to the folder that has it",
				filepath.Base(path), err, variable)
		}
		if info.IsDir() || info.Mode()&0o111 == 0 {
			return binaries{}, fmt.Errorf("%s is not a program; run `make kubernetes`, or set %s to the folder that has it", path, variable)
		}
	}
	return found, nil
}

// repositoryRoot is the nearest folder above the working one with the go.mod
// of the product (modules nested in it have names of their own).
func repositoryRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.Contains(content, []byte("module github.com/salvor-io/salvor\n")) {
			return dir, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("find the repository: %w", err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", fmt.Errorf("the tests do not run inside the repository; set %s to the folder with etcd and kube-apiserver", variable)
		}
		dir = parent
	}
}
