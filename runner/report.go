package runner

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/internal/again"
)

const (
	// artifactsLimit bounds all artifacts of one action together, in bytes: they
	// travel in the report, the run and the ActionSet's status.
	artifactsLimit = 256 << 10
	// progressEvery is how often progress is told at most.
	progressEvery = 5 * time.Second
)

// reportOf makes the report, and before that makes what it says true: the output
// is stored, the pods of a phase that was stopped are gone.
func (t *task) reportOf(ctx context.Context, e ending) (*event.Report, error) {
	report := t.newReport(event.ReportFailed)
	switch e.kind {
	case endingSucceeded:
		report.Kind, report.Artifacts, report.ArtifactsFailure = event.ReportSucceeded, e.artifacts, e.artifactsFailure
		return t.withOutput(ctx, report, e.output)
	case endingCancelled, endingTimedOut:
		report.Failure = e.failure
		if e.kind == endingCancelled {
			report.Kind = event.ReportCancelled
		}
		if err := t.runner.pods.Cleanup(ctx, t.job.Key); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			t.log.Warn().Err(err).Msg("the pods of the phase that was stopped")
			report.Failure.Message = bound(report.Failure.Message + "; " + err.Error())
		}
	case endingFailed, endingLeft:
		report.Failure = e.failure
	}
	return report, nil
}

// withOutput stores the output. One that is not JSON makes a failure of the
// success.
func (t *task) withOutput(ctx context.Context, report *event.Report, output map[string]any) (*event.Report, error) {
	if output == nil {
		return report, nil
	}
	if _, err := json.Marshal(output); err != nil {
		failed := t.newReport(event.ReportFailed)
		failed.Failure = failureOf(function.Errorf(event.ReasonOutput, "the output of the phase cannot be stored as JSON: %w", err), nil)
		return failed, nil
	}
	var payload event.Payload
	err := t.insist(ctx, "store the output", func(ctx context.Context) (err error) {
		payload, err = t.runner.blobs.Put(ctx, output)
		return err
	})
	report.Output = &payload
	if payload.Inline == nil {
		report.Excerpt = excerptOf(output)
	}
	return report, err
}

func (t *task) newReport(kind event.ReportKind) *event.Report {
	report := &event.Report{Kind: kind, Key: t.job.Key, At: t.runner.clock.Now(), Runner: t.runner.options.Name}
	if names := t.runner.pods.Pods(t.job.Key); len(names) > 0 {
		report.Pod = names[0]
	}
	return report
}

// publish stores the report, trying for as long as the claim is held. It is the
// same report each time, so storing it twice is storing it once.
func (t *task) publish(ctx context.Context, report *event.Report) error {
	return t.insist(ctx, "store the report", func(ctx context.Context) error {
		return t.runner.reports.Publish(ctx, report, t.trace)
	})
}

// checkArtifacts refuses artifacts that would not fit into a status.
func checkArtifacts(artifacts map[string]kanister.Artifact) error {
	data, err := json.Marshal(artifacts)
	if err != nil {
		return function.Errorf(event.ReasonInternal, "encode the artifacts: %w", err)
	}
	if len(data) > artifactsLimit {
		return function.Errorf(event.ReasonOutput,
			"the output artifacts are %d bytes, more than the %d that a status can hold; write large values to the object store (kando location push) and keep their path", len(data), artifactsLimit)
	}
	return nil
}

// progress tells how far a call is: the newest value, at most every
// progressEvery, beside the call.
type progress struct {
	values chan kanister.PhaseProgress
	cancel context.CancelFunc
	done   sync.WaitGroup
}

func (t *task) startProgress(ctx context.Context) *progress {
	p := &progress{values: make(chan kanister.PhaseProgress, 1)}
	ctx, p.cancel = context.WithCancel(ctx)
	p.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case value := <-p.values:
				report := t.newReport(event.ReportProgress)
				report.Progress = &value
				if err := t.runner.reports.Publish(ctx, report, t.trace); err != nil {
					t.log.Debug().Err(err).Msg("progress not told")
				}
			}
			if again.Sleep(ctx, t.runner.clock, progressEvery) != nil {
				return
			}
		}
	})
	return p
}

// set replaces a value that was not told yet.
func (p *progress) set(value kanister.PhaseProgress) {
	for {
		select {
		case p.values <- value:
			return
		default:
		}
		select {
		case <-p.values:
		default:
		}
	}
}

func (p *progress) end() {
	p.cancel()
	p.done.Wait()
}
