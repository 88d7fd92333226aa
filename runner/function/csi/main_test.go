package csi_test

import (
	"context"
	"os"
	"testing"

	"github.com/salvor-io/salvor/internal/csitest"
	"github.com/salvor-io/salvor/internal/kubetest"
)

var (
	server  *kubetest.Server
	storage *csitest.Storage
)

func TestMain(m *testing.M) {
	os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
		server = s
		var err error
		storage, err = csitest.Start(context.Background(), s, "../../../deploy/local/manifests/csi.yaml")
		return err
	}))
}
