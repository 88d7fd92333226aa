// Command csi-dir is a CSI driver whose volumes are folders of one machine and
// whose snapshots are copies of them: enough to try what takes, restores and
// deletes snapshots, with the sidecars and controllers that every driver has.
//
// A snapshot copies the folder while it may be written to, so what it holds is as
// consistent as a copy is. It is for demonstrations and tests.
//
// # State
//
// Below the root there are folders volumes and snapshots. NAME is the content,
// NAME.json says what it is, and is written last: what has none is not there, and
// the next call of the same name begins anew. Names are those that the sidecars
// give, which is what makes every call safe to repeat.
//
// A snapshot of a volume beside which there is a file NAME.hold is not ready to
// use until the file is gone, and one with NAME.fail fails with what the file
// says: so tests play the storage system that takes its time, or is broken.
//
// It registers itself with the kubelet when it is told where, which is otherwise
// done by a sidecar.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// driverName is what StorageClasses and VolumeSnapshotClasses name.
const (
	driverName    = "csi-dir.salvor.io"
	driverVersion = "1"
)

type settings struct {
	endpoint     string // the socket of the driver
	root         string // where volumes and snapshots are
	node         string // the name of the node; empty: it does not publish volumes
	registration string // the kubelet's folder of sockets; empty: it does not register
}

func main() {
	var s settings
	flag.StringVar(&s.endpoint, "endpoint", "", "path of the socket to listen on")
	flag.StringVar(&s.root, "root", "", "folder of the volumes and snapshots")
	flag.StringVar(&s.node, "node", "", "name of this node; empty for a controller only")
	flag.StringVar(&s.registration, "registration", "", "the kubelet's folder plugins_registry; empty registers nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "csi-dir:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

// run serves until ctx ends.
func run(ctx context.Context, s settings) error {
	if s.endpoint == "" || s.root == "" {
		return errors.New("-endpoint and -root are needed")
	}
	kept, err := openStore(s.root)
	if err != nil {
		return err
	}
	driver := grpc.NewServer()
	csi.RegisterIdentityServer(driver, identity{})
	csi.RegisterControllerServer(driver, &controller{store: kept})
	if s.node != "" {
		csi.RegisterNodeServer(driver, node{name: s.node, store: kept})
	}
	servers := map[string]*grpc.Server{s.endpoint: driver}
	if s.registration != "" {
		registrar := grpc.NewServer()
		registration.RegisterRegistrationServer(registrar, kubelet{endpoint: s.endpoint})
		servers[socketIn(s.registration)] = registrar
	}
	return serve(ctx, servers)
}

// serve serves all of the servers, each on its socket.
func serve(ctx context.Context, servers map[string]*grpc.Server) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var serving sync.WaitGroup
	for path, server := range servers {
		// What a driver that was killed has left.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		listener, err := net.Listen("unix", path) //nolint:noctx // it binds at once
		if err != nil {
			return fmt.Errorf("listen on %s: %w", path, err)
		}
		serving.Go(func() {
			if err := server.Serve(listener); err != nil {
				cancel(fmt.Errorf("serve %s: %w", path, err))
			}
		})
		context.AfterFunc(ctx, server.GracefulStop)
	}
	serving.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
