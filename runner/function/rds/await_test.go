package rds

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/runner/function"
)

// A region that does not exist never answers, so that is not waited for without end;
// what takes long is.
func TestAwayIsLimited(t *testing.T) {
	t.Parallel()
	clock := clocktesting.NewFakeClock(time.Now())
	s := &client{call: &function.Call{Clock: clock, Log: zerolog.Nop()}}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			if clock.HasWaiters() {
				clock.Step(10 * time.Second)
			}
			time.Sleep(10 * time.Microsecond)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	away := errors.New("no such host")
	begin, asked := clock.Now(), 0
	err := s.await(ctx, func(context.Context) (bool, error) {
		asked++
		return false, away
	})
	require.ErrorIs(t, err, away)
	assert.Greater(t, asked, 10)
	assert.Less(t, clock.Since(begin), 2*awayLimit)

	begin, asked = clock.Now(), 0
	err = s.await(ctx, func(context.Context) (bool, error) {
		if asked++; asked%50 == 0 {
			return false, away
		}
		return clock.Since(begin) > 4*awayLimit, nil
	})
	require.NoError(t, err)
}
