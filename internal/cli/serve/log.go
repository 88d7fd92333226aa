package serve

import (
	"io"

	"github.com/rs/zerolog"
)

// Logger makes the process's logger. level and format are as in Options and
// have been validated.
func (o *Options) Logger(w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(o.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel
	}
	if o.LogFormat == "console" {
		w = zerolog.ConsoleWriter{Out: w}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}
