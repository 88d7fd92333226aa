package broker

import "github.com/rs/zerolog"

// logger hands what the server says to the process's log: a full disk or a store
// that cannot be read is the operator's business.
type logger struct {
	log zerolog.Logger
}

// Noticef is what the server tells about its life; debug for us.
func (l logger) Noticef(format string, v ...any) { l.log.Debug().Msgf(format, v...) }

// Warnf is a warning.
func (l logger) Warnf(format string, v ...any) { l.log.Warn().Msgf(format, v...) }

// Errorf is an error.
func (l logger) Errorf(format string, v ...any) { l.log.Error().Msgf(format, v...) }

// Fatalf is an error after which the server stops; it does not end the process.
func (l logger) Fatalf(format string, v ...any) { l.log.Error().Msgf(format, v...) }

// Debugf is off.
func (l logger) Debugf(format string, v ...any) { l.log.Trace().Msgf(format, v...) }

// Tracef is off.
func (l logger) Tracef(format string, v ...any) { l.log.Trace().Msgf(format, v...) }
