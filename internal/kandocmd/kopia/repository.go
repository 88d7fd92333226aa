package kopia

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/internal/profile"
)

// The names and defaults of Kanister for the sizes of the caches, in MB.
const (
	contentCache         = "dataStoreGeneralContentCacheSize"
	metadataCache        = "dataStoreGeneralMetadataCacheSize"
	defaultContentCache  = 0
	defaultMetadataCache = 500
)

// A repository server that is about to start refuses connections: 20 attempts,
// 1 s to 15 s apart, are about four minutes.
const (
	connectAttempts = 20
	connectPause    = time.Second
	connectMaxPause = 15 * time.Second
)

// ErrNoProgram is returned where the image has no kopia.
var ErrNoProgram = errors.New("the kopia program is not in this image; put it on the PATH of the image, or use a profile of type s3Compliant, gcs or azure")

// Repository is a connected repository. Close it after use.
type Repository struct {
	program  string
	dir      string // of this Repository alone
	config   string // empty means the program's default
	password string
	log      io.Writer
}

// Connect connects to the repository server of a profile of type kopia. log gets
// what the program prints beside data.
func Connect(ctx context.Context, p *profile.Profile, c clock.WithTicker, log io.Writer) (*Repository, error) {
	server := p.Credential.KopiaServerSecret
	if server == nil || p.Location.Endpoint == "" {
		return nil, errors.New("a profile of type kopia needs Location.endpoint, the URL of the repository server, and Credential.KopiaServerSecret")
	}
	fingerprint, err := fingerprintOf(server.Cert)
	if err != nil {
		return nil, err
	}
	r, err := open("", server.Password, log)
	if err != nil {
		return nil, err
	}
	r.config = filepath.Join(r.dir, "repository.config")
	args := []string{
		"repository", "connect", "server",
		"--url=" + p.Location.Endpoint,
		"--server-cert-fingerprint=" + fingerprint,
		"--override-username=" + server.Username,
		"--override-hostname=" + server.Hostname,
		"--cache-directory=" + filepath.Join(r.dir, "cache"),
		"--content-cache-size-mb=" + cacheSize(server.ConnectOptions, contentCache, defaultContentCache),
		"--metadata-cache-size-mb=" + cacheSize(server.ConnectOptions, metadataCache, defaultMetadataCache),
		"--no-check-for-updates",
	}
	pause := connectPause
	for attempt := 1; ; attempt++ {
		err = r.run(ctx, call{args: args})
		if err == nil {
			return r, nil
		}
		if attempt == connectAttempts || !strings.Contains(err.Error(), "connection refused") {
			break
		}
		timer := c.NewTimer(pause)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(context.Cause(ctx), r.Close())
		}
		pause = min(2*pause, connectMaxPause)
	}
	return nil, errors.Join(fmt.Errorf("connect to the repository server at %s: %w", p.Location.Endpoint, err), r.Close())
}

// OpenConfig uses a repository that `kopia repository connect` has connected to,
// with its configuration file, or where that is empty the program's default.
func OpenConfig(config, password string, log io.Writer) (*Repository, error) {
	if config != "" {
		if _, err := os.Stat(config); err != nil {
			return nil, fmt.Errorf("the configuration of the repository is missing; run kopia repository connect first: %w", err)
		}
	}
	return open(config, password, log)
}

func open(config, password string, log io.Writer) (*Repository, error) {
	program, err := exec.LookPath("kopia")
	if err != nil {
		return nil, ErrNoProgram
	}
	dir, err := os.MkdirTemp("", "kando-kopia-")
	if err != nil {
		return nil, err
	}
	return &Repository{program: program, dir: dir, config: config, password: password, log: log}, nil
}

// Close removes what the Repository has on disk.
func (r *Repository) Close() error { return os.RemoveAll(r.dir) }

// call is one run of the program.
type call struct {
	args   []string
	stdin  io.Reader
	stdout io.Writer
}

func (r *Repository) run(ctx context.Context, c call) error {
	args := append([]string{}, c.args...)
	args = append(args, "--log-dir="+filepath.Join(r.dir, "log"), "--no-auto-maintenance")
	if r.config != "" {
		args = append(args, "--config-file="+r.config)
	}
	cmd := exec.CommandContext(ctx, r.program, args...) //nolint:gosec // G204: the program is kopia, and no shell is between
	cmd.Env = append(cmd.Environ(), "KOPIA_PASSWORD="+r.password, "KOPIA_CHECK_FOR_UPDATES=false", "NO_COLOR=1")
	said := &tail{next: r.log}
	cmd.Stdout, cmd.Stderr = c.stdout, said
	err := r.feed(cmd, c.stdin)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	var broken *inputError
	if err == nil || errors.As(err, &broken) {
		return err
	}
	text := said.text()
	if r.password != "" {
		text = strings.ReplaceAll(text, r.password, "[hidden]")
	}
	return fmt.Errorf("kopia %s %s: %w: %s", c.args[0], c.args[1], err, text)
}

// inputError says that the data broke off.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// feed runs cmd with what in holds.
func (r *Repository) feed(cmd *exec.Cmd, in io.Reader) error {
	if in == nil {
		return cmd.Run()
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	source := &counted{r: in}
	_, err = io.Copy(stdin, source)
	if source.err != nil {
		_ = cmd.Process.Kill() // before its input ends
		_ = stdin.Close()
		_ = cmd.Wait()
		return &inputError{fmt.Errorf("the data to store could not be read after %d bytes: %w", source.n, source.err)}
	}
	closed := stdin.Close()
	if failed := cmd.Wait(); failed != nil {
		return failed
	}
	return errors.Join(err, closed)
}

// counted remembers how reading ended, to tell it from how writing did.
type counted struct {
	r   io.Reader
	n   int64
	err error
}

// Read reads.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// tail keeps the end of what the program says.
type tail struct {
	next io.Writer
	kept []byte
}

const tailBytes = 2048

// Write keeps and hands on.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*tailBytes {
		t.kept = append(t.kept[:0], t.kept[len(t.kept)-tailBytes:]...)
	}
	if t.next != nil {
		_, _ = t.next.Write(p)
	}
	return len(p), nil
}

// text is the last lines, as one.
func (t *tail) text() string {
	var lines []string
	for line := range strings.Lines(string(t.kept)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

func cacheSize(options map[string]int, key string, standard int) string {
	if size, ok := options[key]; ok {
		standard = size
	}
	return strconv.Itoa(standard)
}

// fingerprintOf is what kopia trusts a server by. The certificate is PEM, or base64
// of it.
func fingerprintOf(cert string) (string, error) {
	text := []byte(cert)
	if decoded, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text))); err == nil {
		text = decoded
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return "", errors.New("Credential.KopiaServerSecret.Cert is not a certificate in PEM; check tlsCert of the Profile")
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return "", fmt.Errorf("Credential.KopiaServerSecret.Cert: %w", err)
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:]), nil
}
