package runner

import (
	"context"
	"errors"
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
func (m podMarks) Marked(ctx context.Context) (types.UID, error) {
	var uid string
	err := m.task.insist(ctx, "read the mark of the pod", func(ctx context.Context) (err error) {
		uid, err = m.task.leases.PodMark(ctx, m.task.job.Key)
		return err
	})
	return types.UID(uid), err
}

// Mark implements function.PodMarks.
func (m podMarks) Mark(ctx context.Context, uid types.UID) (types.UID, error) {
	m.task.marked = true
	other := false
	err := m.task.insist(ctx, "mark the pod", func(ctx context.Context) error {
		err := m.task.leases.MarkPod(ctx, m.task.job.Key, string(uid))
		if other = errors.Is(err, stream.ErrExists); other {
			return nil
		}
		return err
	})
	if err == nil && other {
		return m.Marked(ctx)
	}
	return uid, err
}

// forget takes the mark away once the job is acknowledged.
func (t *task) forget(ctx context.Context) {
	if !t.marked {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := t.leases.ForgetPod(ctx, t.job.Key); err != nil {
		t.log.Debug().Err(err).Msg("the mark of the pod stays until it runs out")
	}
}
