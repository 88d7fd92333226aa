package kubetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// programs are what a server can be started with again: the same ports and files.
type programs struct {
	bin           binaries
	etcd, apiArgs []string
}

// KillAPI ends the API server as a crash would. The server's other methods fail
// until StartAPI.
func (s *Server) KillAPI(t testing.TB) {
	t.Helper()
	if err := s.processes[0].kill(); err != nil {
		t.Fatal(err)
	}
}

// StartAPI starts the API server after KillAPI, on the same port and with what its
// etcd holds, and returns once it is ready.
func (s *Server) StartAPI(t testing.TB) {
	t.Helper()
	api, err := startProcess(s.dir, s.programs.bin.apiserver, s.programs.apiArgs...)
	if err != nil {
		t.Fatal(err)
	}
	s.processes[0] = api
	if err := s.waitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Snapshot stops the API server and etcd, keeps a copy of etcd's data and starts
// both again. Restore goes back to it.
func (s *Server) Snapshot(t testing.TB) (snapshot string) {
	t.Helper()
	snapshot = filepath.Join(t.TempDir(), "etcd")
	s.withoutEtcd(t, func(data string) error { return os.CopyFS(snapshot, os.DirFS(data)) })
	return snapshot
}

// Restore puts etcd's data back to what it was at the snapshot, as an
// administrator does after a loss: resource versions go back too.
func (s *Server) Restore(t testing.TB, snapshot string) {
	t.Helper()
	s.withoutEtcd(t, func(data string) error {
		if err := os.RemoveAll(data); err != nil {
			return err
		}
		return os.CopyFS(data, os.DirFS(snapshot))
	})
}

// withoutEtcd does something to etcd's data while nothing runs.
func (s *Server) withoutEtcd(t testing.TB, do func(data string) error) {
	t.Helper()
	s.KillAPI(t)
	if err := s.processes[1].stop(); err != nil {
		t.Fatal(err)
	}
	if err := do(filepath.Join(s.dir, "etcd")); err != nil {
		t.Fatalf("copy the data of etcd: %v", err)
	}
	etcd, err := startProcess(s.dir, s.programs.bin.etcd, s.programs.etcd...)
	if err != nil {
		t.Fatal(err)
	}
	s.processes[1] = etcd
	s.StartAPI(t)
}

// kill ends the program at once.
func (p *process) kill() error {
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.gone
	return nil
}
