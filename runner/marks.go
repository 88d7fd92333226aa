package runner

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/salvor-io/salvor/internal/stream"
)

// podMarks remembers the pod of the task's attempt. It insists while the claim is
// held: without the mark a pod that is lost would be made again.
type podMarks struct {
	task *task
}

// Marked implements function.PodMarks.
func (m podMarks) Marked(ctx context.Context, part string) (types.UID, error) {
	var uid string
	err := m.task.insist(ctx, "read the mark of the pod", func(ctx context.Context) (err error) {
		uid, err = m.task.leases.PodMark(ctx, m.task.job.Key, part)
		return err
	})
	return types.UID(uid), err
}

// Mark implements function.PodMarks.
func (m podMarks) Mark(ctx context.Context, part string, uid types.UID) (types.UID, error) {
	m.task.marks.add(part)
	other := false
	err := m.task.insist(ctx, "mark the pod", func(ctx context.Context) error {
		err := m.task.leases.MarkPod(ctx, m.task.job.Key, part, string(uid))
		if other = errors.Is(err, stream.ErrExists); other {
			return nil
		}
		return err
	})
	if err == nil && other {
		return m.Marked(ctx, part)
	}
	return uid, err
}

// markedParts are the parts of the attempt whose pods may be marked. Functions mark
// several at once.
type markedParts struct {
	mu    sync.Mutex
	parts map[string]struct{}
}

func (m *markedParts) add(part string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.parts == nil {
		m.parts = map[string]struct{}{}
	}
	m.parts[part] = struct{}{}
}

func (m *markedParts) list() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.parts))
}

// forget takes the marks away once the job is acknowledged.
func (t *task) forget(ctx context.Context) {
	parts := t.marks.list()
	if len(parts) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, part := range parts {
		if err := t.leases.ForgetPod(ctx, t.job.Key, part); err != nil {
			t.log.Debug().Err(err).Msg("the mark of the pod stays until it runs out")
		}
	}
}
