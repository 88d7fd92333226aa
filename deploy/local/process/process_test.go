package process

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 11 12"
	for name, content := range map[string]string{
		"plain name":               "42 (sleep)" + rest,
		"name with blanks":         "42 (tmux: server)" + rest,
		"name that looks like end": "42 (a) Z 1 2)" + rest,
	} {
		t.Run(name, func(t *testing.T) {
			start, state, err := parseStat([]byte(content))
			require.NoError(t, err)
			require.Equal(t, uint64(98765), start)
			require.Equal(t, byte('S'), state)
		})
	}
	for _, broken := range []string{"", "42 (sleep)", "42 (sleep) S 1 2 3"} {
		_, _, err := parseStat([]byte(broken))
		require.Error(t, err, "%q", broken)
	}
}

func TestIdentityIsNotThatOfAnotherProcess(t *testing.T) {
	own, err := Identify(os.Getpid())
	require.NoError(t, err)
	require.True(t, own.Alive())

	earlier := own
	earlier.Start--
	require.False(t, earlier.Alive(), "the process that had this id before")
	otherBoot := own
	otherBoot.Boot = "00000000-0000-0000-0000-000000000000"
	require.False(t, otherBoot.Alive(), "the process that had this id before the reboot")
	require.False(t, Identity{}.Alive())
}

func TestAZombieIsGone(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "true")
	require.NoError(t, cmd.Start())
	pid := cmd.Process.Pid
	require.Eventually(t, func() bool {
		_, err := Identify(pid)
		return errors.Is(err, os.ErrNotExist)
	}, 3*time.Minute, time.Millisecond)
	require.NoError(t, cmd.Wait(), "it was still there to be waited for")
}

func TestSetStartsFindsAndStops(t *testing.T) {
	set := Set{Dir: t.TempDir()}
	require.NoError(t, set.Start(Program{Name: "x", Path: "/bin/sh", Args: []string{"-c", "echo hello; sleep 600 & wait"}}))
	require.True(t, set.Running("x"))

	var marked []Identity
	require.Eventually(t, func() bool {
		var err error
		marked, err = set.Marked()
		require.NoError(t, err)
		return len(marked) == 2
	}, 3*time.Minute, 5*time.Millisecond, "the shell and its child")
	require.Equal(t, "hello", set.Tail("x"))

	require.NoError(t, set.Stop(t.Context(), "x", 5*time.Second))
	require.False(t, set.Running("x"))
	require.NoError(t, set.Stop(t.Context(), "x", 5*time.Second), "a second time")

	left, err := set.Marked()
	require.NoError(t, err)
	require.Len(t, left, 1, "the child, which has no record")
	require.NoError(t, Stop(t.Context(), left, 5*time.Second))
	left, err = set.Marked()
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestStopLeavesAStrangerWithARecycledIDAlone(t *testing.T) {
	stranger := exec.CommandContext(t.Context(), "sleep", "600")
	require.NoError(t, stranger.Start())
	t.Cleanup(func() { _ = stranger.Process.Kill(); _ = stranger.Wait() })
	identity, err := Identify(stranger.Process.Pid)
	require.NoError(t, err)
	stale := identity
	stale.Start--
	require.NoError(t, Stop(t.Context(), []Identity{stale}, time.Second))
	require.True(t, identity.Alive())
}

func TestStopByForce(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	_, err = out.Read(make([]byte, 1)) // the trap is set
	require.NoError(t, err)
	identity, err := Identify(cmd.Process.Pid)
	require.NoError(t, err)
	require.NoError(t, Stop(t.Context(), []Identity{identity}, 50*time.Millisecond))
	require.False(t, identity.Alive())
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
}

func TestACutRecordIsNoError(t *testing.T) {
	set := Set{Dir: t.TempDir()}
	require.NoError(t, os.MkdirAll(set.Dir+"/run", 0o755))
	require.NoError(t, os.WriteFile(set.record("x"), []byte(`{"pid":1`), 0o600))
	require.False(t, set.Running("x"))
	require.NoError(t, set.Stop(t.Context(), "x", time.Second))
}

func TestRootedBelow(t *testing.T) {
	const container = "31 30 0:40 / / rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/repo/.local/cluster/containerd/9/fs,workdir=/w\n"
	const host = "30 1 8:1 / / rw - ext4 /dev/vda rw\n" +
		"99 30 0:40 / /run/x/rootfs rw - overlay overlay rw,upperdir=/repo/.local/cluster/containerd/9/fs\n"
	require.True(t, rootedBelow(container, "/repo/.local/cluster"))
	require.False(t, rootedBelow(container, "/repo/.local/clu"))
	require.False(t, rootedBelow(host, "/repo/.local/cluster"), "a process that only sees the container's mount")
}

func TestKillIsSudden(t *testing.T) {
	set := Set{Dir: t.TempDir()}
	require.ErrorContains(t, set.Kill(t.Context(), "x"), "was not started")
	// Asked to end it would say so; killed it says nothing more.
	require.NoError(t, set.Start(Program{Name: "x", Path: "/bin/sh", Args: []string{"-c", "trap 'echo asked; exit' TERM; echo ready; while :; do sleep 0.01; done"}}))
	require.Eventually(t, func() bool { return set.Tail("x") == "ready" }, 3*time.Minute, 5*time.Millisecond)
	require.NoError(t, set.Kill(t.Context(), "x"))
	require.False(t, set.Running("x"))
	require.Equal(t, "ready", set.Tail("x"))
	require.ErrorContains(t, set.Kill(t.Context(), "x"), "has ended already")

	require.NoError(t, set.Start(Program{Name: "x", Path: "/bin/sleep", Args: []string{"600"}}), "again under the same name")
	require.True(t, set.Running("x"))
	require.NoError(t, set.Stop(t.Context(), "x", 5*time.Second))
}
