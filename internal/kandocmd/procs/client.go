package procs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
)

// Client talks to the server at a socket. Close it after use.
type Client struct {
	address string
	web     *http.Client
}

// NewClient returns a client. It connects when it is used.
func NewClient(address string) *Client {
	return &Client{address: address, web: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "unix", address)
		},
		DisableCompression: true,
	}}}
}

// Close ends its connections.
func (c *Client) Close() { c.web.CloseIdleConnections() }

// Create starts a program.
func (c *Client) Create(ctx context.Context, name string, args []string) (p Process, err error) {
	err = c.call(ctx, http.MethodPost, "/processes", createRequest{Name: name, Args: args}, &p)
	return p, err
}

// Get returns the state of a process. It returns ErrNotFound for a PID the server
// did not start.
func (c *Client) Get(ctx context.Context, pid int64) (p Process, err error) {
	err = c.call(ctx, http.MethodGet, path(pid), nil, &p)
	return p, err
}

// List returns all processes in the order they were started.
func (c *Client) List(ctx context.Context) (list []Process, err error) {
	err = c.call(ctx, http.MethodGet, "/processes", nil, &list)
	return list, err
}

// Signal sends a signal to a process, not to its children.
func (c *Client) Signal(ctx context.Context, pid int64, number int) (p Process, err error) {
	err = c.call(ctx, http.MethodPost, path(pid)+"/signal", signalRequest{Signal: number}, &p)
	return p, err
}

// Stdout writes the standard output of a process to w, from its beginning until
// the process has ended.
func (c *Client) Stdout(ctx context.Context, pid int64, w io.Writer) error {
	return c.follow(ctx, path(pid)+"/stdout", w)
}

// Stderr is Stdout for the standard error.
func (c *Client) Stderr(ctx context.Context, pid int64, w io.Writer) error {
	return c.follow(ctx, path(pid)+"/stderr", w)
}

func path(pid int64) string { return "/processes/" + strconv.FormatInt(pid, 10) }

func (c *Client) follow(ctx context.Context, path string, w io.Writer) (err error) {
	body, err := c.send(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	_, err = io.Copy(w, body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the process server at %s ended before the process did: %w", c.address, err)
	}
	return err
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	body, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return fmt.Errorf("the answer of the process server at %s cannot be read (is it Kanister's?): %w", c.address, err)
	}
	return nil
}

// send returns the body of an answer that is no error.
func (c *Client) send(ctx context.Context, method, path string, in any) (io.ReadCloser, error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://kando"+path, body)
	if err != nil {
		return nil, err
	}
	answer, err := c.web.Do(request)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, fmt.Errorf("no process server answers at %s; start one with `kando process server`, or pass its socket with --address: %w", c.address, errors.Unwrap(err))
	}
	if answer.StatusCode < http.StatusBadRequest {
		return answer.Body, nil
	}
	defer func() { _ = answer.Body.Close() }()
	var p problem
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxRequest)).Decode(&p); err != nil || p.Error == "" {
		return nil, fmt.Errorf("the process server at %s answers %s", c.address, answer.Status)
	}
	if answer.StatusCode == http.StatusNotFound {
		return nil, &refused{text: p.Error, is: ErrNotFound}
	}
	return nil, &refused{text: p.Error}
}

// refused is an error of the server, in its words.
type refused struct {
	text string
	is   error
}

func (r *refused) Error() string { return r.text }
func (r *refused) Unwrap() error { return r.is }
