package procs

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/rs/zerolog"
)

const (
	// DefaultAddress is Kanister's.
	DefaultAddress = "/tmp/kanister.sock"

	// grace is how long a process may take to end after SIGTERM. The kubelet gives
	// a pod 30 s in all.
	grace = 10 * time.Second

	// drain is how long a reader may take for the last of an output.
	drain = 5 * time.Second

	// maxRequest bounds the command line in a request; the kernel's bound is 6 MiB.
	maxRequest = 16 << 20
)

// Options says where a server works.
type Options struct {
	// Address is the path of the socket.
	Address string
	// Dir is where output is kept; empty means the system's temporary directory.
	Dir string
	Log zerolog.Logger
}

type server struct {
	table *table
	log   zerolog.Logger
}

type createRequest struct {
	Name string   `json:"name"`
	Args []string `json:"args"`
}

type signalRequest struct {
	Signal int `json:"signal"`
}

type problem struct {
	Error string `json:"error"`
}

// Serve works until ctx is done and everything it started has ended. Being ended
// is no error.
func Serve(ctx context.Context, o Options) error {
	listener, err := listen(ctx, o.Address)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(o.Address) }()
	s := &server{log: o.Log, table: &table{dir: o.Dir, grace: grace, byPID: map[int64]*process{}}}
	defer s.table.removeFiles()
	web := &http.Server{Handler: s.routes(ctx), ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(listener) }()
	s.log.Info().Str("address", o.Address).Msg("listening")

	select {
	case err = <-ended:
		return err
	case <-ctx.Done():
	}
	s.table.close()
	s.log.Info().Msg("ending")
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	if web.Shutdown(last) != nil { // a reader does not read
		_ = web.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// routes serves with ctx, that of the server, for the processes it starts: one
// must not end with the request that started it.
func (s *server) routes(ctx context.Context) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /processes", func(w http.ResponseWriter, r *http.Request) {
		var in createRequest
		if !s.read(w, r, &in) {
			return
		}
		p, err := s.table.start(ctx, in.Name, in.Args)
		if err != nil {
			s.fail(w, err)
			return
		}
		// The command line may hold a password, so it is not logged.
		s.log.Info().Int64("pid", p.get().PID).Str("stdout", p.stdout.file.Name()).Str("stderr", p.stderr.file.Name()).Msg("started")
		s.reply(w, http.StatusOK, Process{PID: p.get().PID, State: Running})
	})
	mux.HandleFunc("GET /processes", func(w http.ResponseWriter, _ *http.Request) {
		s.reply(w, http.StatusOK, s.table.list())
	})
	mux.HandleFunc("GET /processes/{pid}", s.withProcess(func(w http.ResponseWriter, _ *http.Request, p *process) {
		s.reply(w, http.StatusOK, p.get())
	}))
	mux.HandleFunc("POST /processes/{pid}/signal", s.withProcess(s.signal))
	mux.HandleFunc("GET /processes/{pid}/stdout", s.withProcess(func(w http.ResponseWriter, r *http.Request, p *process) {
		s.follow(w, r, p.stdout)
	}))
	mux.HandleFunc("GET /processes/{pid}/stderr", s.withProcess(func(w http.ResponseWriter, r *http.Request, p *process) {
		s.follow(w, r, p.stderr)
	}))
	return mux
}

func (s *server) withProcess(do func(http.ResponseWriter, *http.Request, *process)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		pid, err := strconv.ParseInt(r.PathValue("pid"), 10, 64)
		if err != nil {
			s.reply(w, http.StatusBadRequest, problem{Error: "the PID is not a number"})
			return
		}
		p, err := s.table.find(pid)
		if err != nil {
			s.fail(w, err)
			return
		}
		do(w, r, p)
	}
}

func (s *server) signal(w http.ResponseWriter, r *http.Request, p *process) {
	var in signalRequest
	if !s.read(w, r, &in) {
		return
	}
	if err := p.signal(in.Signal); err != nil {
		s.fail(w, err)
		return
	}
	s.reply(w, http.StatusOK, p.get())
}

func (s *server) follow(w http.ResponseWriter, r *http.Request, out *spool) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	if err := errors.Join(control.Flush(), out.follow(r.Context(), w, control.Flush)); err != nil {
		// The connection is cut, so that the reader does not take this for the end.
		panic(http.ErrAbortHandler)
	}
}

func (s *server) read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(into); err != nil {
		s.reply(w, http.StatusBadRequest, problem{Error: "the request cannot be read: " + err.Error()})
		return false
	}
	return true
}

func (s *server) fail(w http.ResponseWriter, err error) {
	status := http.StatusConflict
	switch {
	case errors.Is(err, ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, errClosing):
		status = http.StatusServiceUnavailable
	}
	s.reply(w, status, problem{Error: err.Error()})
}

func (s *server) reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		s.log.Info().Err(err).Msg("a client went away")
	}
}
