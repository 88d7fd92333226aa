//go:build !roles

package main

import "github.com/salvor-io/salvor/internal/cli/serve"

// roles are none as long as their packages are being written.
func roles() []serve.Constructor { return nil }
