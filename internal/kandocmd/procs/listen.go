package procs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// listen makes the socket. It is bound under another name, restricted, and then
// renamed, so that nobody finds it with a wider mode, and so that one left by a
// dead server is replaced in one step.
func listen(ctx context.Context, address string) (net.Listener, error) {
	if err := checkFree(ctx, address); err != nil {
		return nil, err
	}
	temporary := address + "." + strconv.Itoa(os.Getpid())
	var config net.ListenConfig
	inner, err := config.Listen(ctx, "unix", temporary)
	if err != nil {
		return nil, fmt.Errorf("make the socket (a path may have about 100 bytes): %w", err)
	}
	if l, ok := inner.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false) // it would remove the name that is gone
	}
	err = os.Chmod(temporary, 0o600)
	if err == nil {
		err = os.Rename(temporary, address)
	}
	if err != nil {
		_ = inner.Close()
		_ = os.Remove(temporary)
		return nil, fmt.Errorf("make the socket: %w", err)
	}
	return &guarded{Listener: inner}, nil
}

// checkFree refuses a name that is in use or is no socket.
func checkFree(ctx context.Context, address string) error {
	info, err := os.Lstat(address)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--address: %w", err)
	case info.Mode()&os.ModeSocket == 0:
		return fmt.Errorf("--address: %s is there and is not a socket; name another path", address)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", address)
	if err != nil {
		return nil //nolint:nilerr // nobody answers: its server is dead
	}
	_ = conn.Close()
	return fmt.Errorf("--address: a process server answers at %s already; use it, or name another path", address)
}

// guarded lets in only the server's own user and root.
type guarded struct{ net.Listener }

// Accept returns the next connection of somebody who may ask.
func (g *guarded) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if allowed(conn) {
			return conn, nil
		}
		_ = conn.Close()
	}
}
