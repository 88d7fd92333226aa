package wait_test

import (
	"os"
	"testing"

	"github.com/salvor-io/salvor/internal/kubetest"
)

var server *kubetest.Server

func TestMain(m *testing.M) {
	os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
		server = s
		return nil
	}))
}
