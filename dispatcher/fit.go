package dispatcher

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/salvor-io/salvor/api/event"
)

// A run is one message, of at most 1 MiB with headers, and is written whole at
// each step. Above fitLimit, in bytes, the run sheds what it can do without; what is left is bounded by what the bridge
// accepted and by package decide.
const (
	fitLimit     = 128 << 10
	spillAbove   = 512
	shortFailure = 256
)

// fit makes the run small enough for a message: first payloads go to the object
// store, then excerpts are dropped, then the messages of single phases are cut.
// The action's failure keeps its text.
func (w *worker) fit(ctx context.Context, run *event.Run) error {
	shed := []func(*event.Phase) error{
		func(p *event.Phase) (err error) { p.Output, err = w.spill(ctx, p.Output); return err },
		func(p *event.Phase) error { p.Excerpt = nil; return nil },
		func(p *event.Phase) error {
			if p.Failure != nil && len(p.Failure.Message) > shortFailure {
				p.Failure.Message = fmt.Sprintf("%.*s…", shortFailure, p.Failure.Message)
			}
			p.Attempts = p.Attempts[max(len(p.Attempts)-1, 0):]
			return nil
		},
	}
	for i, step := range shed {
		data, err := json.Marshal(run)
		if err != nil {
			return fmt.Errorf("run %s/%s: encode: %w", run.Namespace, run.Name, err)
		}
		if len(data) <= fitLimit {
			return nil
		}
		if i == 0 {
			if err := w.spillPlans(ctx, run); err != nil {
				return err
			}
		}
		if err := eachPhase(run, step); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) spillPlans(ctx context.Context, run *event.Run) error {
	for i := range run.Actions {
		a := &run.Actions[i]
		var err error
		if a.Params, err = w.spill(ctx, a.Params); err != nil {
			return err
		}
		if a.Blueprint == nil {
			continue
		}
		content, err := w.spill(ctx, &a.Blueprint.Content)
		if err != nil {
			return err
		}
		a.Blueprint.Content = *content // the pointer is this state's own, see decide.Decision
	}
	return nil
}

// spill moves a payload to the object store and returns what stands for it. It
// leaves p as it is: an earlier state may share it.
func (w *worker) spill(ctx context.Context, p *event.Payload) (*event.Payload, error) {
	if p == nil || len(p.Inline) <= spillAbove {
		return p, nil
	}
	stored, err := w.blobs.Spill(ctx, *p)
	if err != nil {
		return nil, err
	}
	return &stored, nil
}

func eachPhase(run *event.Run, f func(*event.Phase) error) error {
	for i := range run.Actions {
		a := &run.Actions[i]
		for j := range a.Phases {
			if err := f(&a.Phases[j]); err != nil {
				return err
			}
		}
		for _, p := range []*event.Phase{a.DeferPhase, a.Render} {
			if p == nil {
				continue
			}
			if err := f(p); err != nil {
				return err
			}
		}
	}
	return nil
}
