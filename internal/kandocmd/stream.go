package kandocmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/salvor-io/salvor/internal/kandocmd/kopia"
)

// streamFlags are the flags of the stream commands.
type streamFlags struct {
	host                                  Host
	password, config, directory, filePath string
}

func newStream(h Host) *cobra.Command {
	f := &streamFlags{host: h}
	cmd := &cobra.Command{
		Use:   "stream <command>",
		Short: "Store what an HTTP server gives in a Kopia repository",
		RunE:  needCommand,
	}
	cmd.PersistentFlags().StringVarP(&f.password, "password", "p", "", "the password of the repository (required)")
	cmd.PersistentFlags().StringVarP(&f.config, "config-file", "c", "", "the configuration that kopia repository connect wrote; empty means kopia's default")
	push := &cobra.Command{
		Use:   "push <source>",
		Short: "Store what a GET of the source, a URL, gives",
		Args:  oneArg("the URL of the source"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.password == "":
				return errors.New("--password is missing; pass the password of the repository")
			case f.directory == "":
				return errors.New("--dirPath is missing; name the directory the snapshot is of")
			case f.filePath == "":
				return errors.New("--filePath is missing; name the file in that directory")
			}
			return f.push(cmd.Context(), args[0], cmd.OutOrStdout())
		},
	}
	push.Flags().StringVarP(&f.directory, "dirPath", "d", "", "the directory the snapshot is of (required)")
	push.Flags().StringVarP(&f.filePath, "filePath", "f", "", "the file in it that holds the data (required)")
	cmd.AddCommand(push)
	return cmd
}

func (f *streamFlags) push(ctx context.Context, source string, stdout io.Writer) (err error) {
	r, err := kopia.OpenConfig(f.config, f.password, verbose(ctx, f.host.Err))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	body, err := get(ctx, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()

	// kopia takes one name for a stream; folders in it belong to the directory.
	dir, file := path.Split(path.Clean("/" + f.filePath))
	start := f.host.Clock.Now()
	snapshot, err := r.PushStream(ctx, path.Join(f.directory, dir), file, body)
	if err != nil {
		return err
	}
	if snapshot.LogicalSize == 0 {
		zerolog.Ctx(ctx).Warn().Msg("the source gave nothing; stored an empty file")
	}
	_, err = fmt.Fprintf(stdout, "Created snapshot with root %s and ID %s in %s\n",
		snapshot.Root, snapshot.ID, f.host.Clock.Since(start).Truncate(time.Second))
	return err
}

// get returns the body of an answer that is a success. A body that breaks off ends
// with an error, not with io.EOF.
func get(ctx context.Context, source string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return nil, fmt.Errorf("the source is not a URL: %w", withoutURL(err))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("the source cannot be read: %w", withoutURL(err))
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return nil, errors.Join(fmt.Errorf("the source answers %s instead of data", answer.Status), answer.Body.Close())
	}
	return answer.Body, nil
}

// withoutURL leaves the URL out, which may hold a password or a signature.
func withoutURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}
