package kandocmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/kandocmd/kopia"
	"github.com/salvor-io/salvor/internal/output"
)

// kopiaPush is what location push stores in a Kopia repository.
type kopiaPush struct{ path, source, outputName string }

// pushKopia stores the source and publishes the snapshot as an output of the phase.
func pushKopia(ctx context.Context, r *kopia.Repository, p kopiaPush, cmd *cobra.Command) error {
	if err := checkOutputKey(p.outputName); err != nil { // before there is a snapshot nobody could name
		return fmt.Errorf("--output-name: %w", err)
	}
	var snapshot kopia.Snapshot
	var err error
	if p.source == standard {
		if p.path == "" {
			return errors.New("--path is missing; it names the file in the snapshot")
		}
		dir, file := kopia.Place(p.path)
		snapshot, err = r.PushStream(ctx, dir, file, cmd.InOrStdin())
	} else {
		snapshot, err = r.PushPath(ctx, p.source)
	}
	if err != nil {
		return err
	}
	if snapshot.LogicalSize == 0 {
		zerolog.Ctx(ctx).Warn().Str("path", p.path).Msg("stored nothing; did the command before the pipe fail? (set -o pipefail)")
	}
	text, err := json.Marshal(snapshot)
	if err != nil {
		return err
	}
	line, err := output.Format(p.outputName, string(text))
	if err != nil {
		return err
	}
	_, err = io.WriteString(cmd.OutOrStdout(), line)
	return err
}

func (f *locationFlags) pullKopia(ctx context.Context, r *kopia.Repository, target string, stdout io.Writer) error {
	snapshot, err := f.snapshot()
	if err != nil {
		return err
	}
	if target != standard {
		return r.PullPath(ctx, snapshot.ID, target)
	}
	_, file := kopia.Place(f.path)
	return r.PullStream(ctx, snapshot.ID, file, stdout)
}

func (f *locationFlags) deleteKopia(ctx context.Context, r *kopia.Repository) error {
	snapshot, err := f.snapshot()
	if err != nil {
		return err
	}
	return r.Delete(ctx, snapshot.ID)
}

func (f *locationFlags) snapshot() (kopia.Snapshot, error) {
	if f.kopiaSnapshot == "" {
		return kopia.Snapshot{}, errors.New("--kopia-snapshot is missing; with a profile of type kopia pass '{{ .ArtifactsIn.<name>.KopiaSnapshot }}'")
	}
	snapshot, err := kopia.ParseSnapshot(f.kopiaSnapshot)
	if err != nil {
		return snapshot, fmt.Errorf("--kopia-snapshot: %w", err)
	}
	return snapshot, nil
}

// verbose is where what another program says goes: away, unless messages are
// wanted.
func verbose(ctx context.Context, w io.Writer) io.Writer {
	if zerolog.Ctx(ctx).GetLevel() <= zerolog.InfoLevel {
		return w
	}
	return nil
}
