package procs_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const nobody = 65534

// Somebody who gets at the socket in spite of its mode is asked for by the kernel,
// and gets no answer.
func TestAnotherUserGetsNoAnswer(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	r := serve(t)
	for dir := filepath.Dir(r.address); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	require.NoError(t, os.Chmod(r.address, 0o666))
	_, err := r.List(t.Context())
	require.NoError(t, err)

	conn := dialAs(t, nobody, r.address)
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET /processes HTTP/1.0\r\n\r\n") // may fail already
	answer, _ := io.ReadAll(conn)
	assert.Empty(t, string(answer))
}

// dialAs connects as another user. Only the thread that connects is that user; if it
// could not be itself again, it would end with the test.
func dialAs(t *testing.T, uid int, address string) net.Conn {
	t.Helper()
	runtime.LockOSThread()
	const same = ^uintptr(0)
	_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, uintptr(uid), same)
	require.Zero(t, errno)
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "unix", address)
	_, _, errno = syscall.RawSyscall(syscall.SYS_SETRESUID, same, 0, same)
	require.Zero(t, errno)
	runtime.UnlockOSThread()
	require.NoError(t, err)
	return conn
}
