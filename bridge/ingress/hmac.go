package ingress

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/internal/stream"
)

// Headers of a signed request, as Standard Webhooks has them.
const (
	headerWebhookID        = "Webhook-Id"
	headerWebhookTimestamp = "Webhook-Timestamp"
	headerWebhookSignature = "Webhook-Signature"
)

const (
	// signatureWindow is how far the timestamp of a signature may be from now, before
	// and after.
	signatureWindow = 5 * time.Minute
	// clockSlack is added to the life of a mark: another bridge's clock may be behind.
	clockSlack = time.Minute
	// secretPrefix of a secret, as Standard Webhooks writes it.
	secretPrefix = "whsec_"
	// The length of a key in bytes. Standard Webhooks asks for 24 to 64.
	minKey, maxKey = 24, 64
	// maxSignatures bounds the signatures that one request may show.
	maxSignatures = 8
	// maxWebhookID bounds the id, in bytes.
	maxWebhookID = 256
	// markTimeout bounds the writing of a mark.
	markTimeout = 5 * time.Second
	// senderHMAC is the prefix of a sender's name.
	senderHMAC = "salvor:hmac:"
)

// Replays remembers used signatures; *stream.Replays is one.
type Replays interface {
	// Use returns stream.ErrExists if the signature is marked already.
	Use(ctx context.Context, sender, signature string, ttl time.Duration) error
	Forget(ctx context.Context, sender, signature string) error
}

// HMAC lets in whose body is signed with a key from a directory, by the scheme of
// Standard Webhooks (v1, HMAC-SHA256). A file holds the keys of one sender, one per
// line, and its name is the sender's. Each signature counts once: its use is marked
// where all bridges see it.
//
// Only the body is signed, so only the content modes that carry the whole event in
// it are taken. Of a GET, which has none, it is the query: what is asked.
type HMAC struct {
	dir     string
	replays Replays
	clock   clock.PassiveClock
	log     zerolog.Logger
}

// NewHMAC returns the authenticator, or an error when the directory cannot be read
// or one of its files holds no key.
func NewHMAC(dir string, replays Replays, c clock.PassiveClock, log zerolog.Logger) (*HMAC, error) {
	h := &HMAC{dir: dir, replays: replays, clock: c, log: log}
	keys, err := h.keys()
	if err == nil && len(keys) == 0 {
		err = fmt.Errorf("--ingress-hmac-keys %s has no file in it; put one for each sender there, or leave the option out", dir)
	}
	return h, err
}

// Challenge names the scheme.
func (h *HMAC) Challenge() (scheme, words string) {
	return "StandardWebhooks", "sign the body by Standard Webhooks (headers webhook-id, webhook-timestamp, webhook-signature)"
}

// Authenticate verifies the signature and marks it used.
func (h *HMAC) Authenticate(ctx context.Context, c Credentials) (*Grant, error) {
	shown := c.Header.Values(headerWebhookSignature)
	if len(shown) == 0 {
		return nil, errNotShown
	}
	at, err := h.check(c)
	if err != nil {
		return nil, err
	}
	body, err := signedBody(c)
	if err != nil {
		return nil, err
	}
	keys, err := h.keys()
	if err != nil {
		return nil, err
	}
	content := signedContent(c.Header.Get(headerWebhookID), c.Header.Get(headerWebhookTimestamp), body)
	name, mac := verify(keys, content, strings.Fields(strings.Join(shown, " ")))
	if mac == nil {
		return nil, signature("no signature of the request is valid; sign <webhook-id>.<webhook-timestamp>.<body> with the key that this server has")
	}
	if err := h.once(ctx, name, mac, at); err != nil {
		return nil, err
	}
	sender := senderHMAC + name
	return &Grant{
		Sender: &event.Sender{User: sender}, Key: "user:" + sender,
		Undo: func(ctx context.Context) { h.forget(ctx, sender, mac) },
	}, nil
}

// signedBody is what a signature covers besides id and time: the body or, of a request
// that asks and has none, its query as it was sent.
func signedBody(c Credentials) ([]byte, error) {
	if isMethod(c.Request, http.MethodGet, http.MethodHead) {
		return []byte(c.URL.RawQuery), nil
	}
	return c.Body()
}

func signature(format string, args ...any) *RefusedError {
	return refuse(http.StatusUnauthorized, reasonSignature, format, args...)
}

// check looks at all but the signature, and returns the time of it.
func (h *HMAC) check(c Credentials) (time.Time, error) {
	id, stamp := c.Header.Values(headerWebhookID), c.Header.Values(headerWebhookTimestamp)
	switch {
	case c.Method == http.MethodPost && modeOf(c.Header) == modeBinary:
		return time.Time{}, signature("headers are not signed, so send the event as application/cloudevents+json or application/cloudevents-batch+json")
	case len(id) != 1 || id[0] == "" || len(id[0]) > maxWebhookID:
		return time.Time{}, signature("give one header webhook-id of at most %d characters", maxWebhookID)
	case len(stamp) != 1:
		return time.Time{}, signature("give one header webhook-timestamp")
	}
	seconds, err := strconv.ParseInt(stamp[0], 10, 64)
	if err != nil || seconds < 0 || seconds > math.MaxInt32*1000 {
		return time.Time{}, signature("webhook-timestamp is not the seconds since 1970")
	}
	at := time.Unix(seconds, 0)
	if off := h.clock.Now().Sub(at); off > signatureWindow || off < -signatureWindow {
		return at, refuse(http.StatusUnauthorized, reasonExpired,
			"webhook-timestamp is more than %s away from this server's time; sign the request again, and check the clocks", signatureWindow)
	}
	return at, nil
}

// once marks the signature used until its timestamp is too old to be taken.
func (h *HMAC) once(ctx context.Context, name string, mac []byte, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	ttl := at.Add(signatureWindow).Sub(h.clock.Now()).Truncate(time.Second) + clockSlack
	err := h.replays.Use(ctx, senderHMAC+name, hex.EncodeToString(mac), ttl)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, stream.ErrExists):
		return refuse(http.StatusUnauthorized, reasonReplayed,
			"this signature was used before; sign the request again with a new webhook-timestamp (the same event counts once all the same)")
	}
	h.forget(ctx, senderHMAC+name, mac)
	return fmt.Errorf("mark a signature as used: %w", err)
}

func (h *HMAC) forget(ctx context.Context, sender string, mac []byte) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTimeout)
	defer cancel()
	if err := h.replays.Forget(ctx, sender, hex.EncodeToString(mac)); err != nil {
		h.log.Warn().Err(err).Str("sender", sender).
			Msg("the signature of a request that was not stored stays marked as used; the sender has to sign it again")
	}
}

// signedContent is the content that is signed.
func signedContent(id, stamp string, body []byte) []byte {
	content := make([]byte, 0, len(id)+len(stamp)+len(body)+2)
	content = append(content, id+"."+stamp+"."...)
	return append(content, body...)
}

// hmacKey is one key of one sender.
type hmacKey struct {
	sender string
	key    []byte
}

// verify returns whose key made one of the signatures, and the signature; nothing if
// nobody's did. All keys are tried, so that the time tells nothing of which matched.
func verify(keys []hmacKey, content []byte, signatures []string) (sender string, mac []byte) {
	var shown [][]byte
	for _, one := range signatures[:min(len(signatures), maxSignatures)] {
		if text, ok := strings.CutPrefix(one, "v1,"); ok { // other versions are passed over
			if decoded, err := base64.StdEncoding.DecodeString(text); err == nil {
				shown = append(shown, decoded)
			}
		}
	}
	for _, k := range keys {
		h := hmac.New(sha256.New, k.key)
		_, _ = h.Write(content) // never fails
		want := h.Sum(nil)
		for _, got := range shown {
			if hmac.Equal(want, got) {
				sender, mac = k.sender, want
			}
		}
	}
	return sender, mac
}

// keys reads the directory, for each request, so that a changed file counts at once.
func (h *HMAC) keys() ([]hmacKey, error) {
	entries, err := os.ReadDir(h.dir)
	if err != nil {
		return nil, fmt.Errorf("read the keys of senders (--ingress-hmac-keys): %w", err)
	}
	var keys []hmacKey
	for _, entry := range entries {
		// A volume of a Secret has entries that begin with two dots.
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(h.dir, entry.Name())
		content, err := os.ReadFile(path) //nolint:gosec // the path is the operator's own option
		if err != nil {
			return nil, fmt.Errorf("read the keys of sender %s (--ingress-hmac-keys): %w", entry.Name(), err)
		}
		found, err := parseKeys(string(content))
		if err != nil {
			return nil, fmt.Errorf("--ingress-hmac-keys: %s: %w", path, err)
		}
		for _, key := range found {
			keys = append(keys, hmacKey{sender: entry.Name(), key: key})
		}
	}
	return keys, nil
}

// parseKeys never puts a key into an error.
func parseKeys(content string) ([][]byte, error) {
	var keys [][]byte
	for i, line := range strings.Fields(content) {
		text, ok := strings.CutPrefix(line, secretPrefix)
		if !ok {
			return nil, fmt.Errorf("key %d does not begin with %s; make one with: echo %s$(openssl rand -base64 32)", i+1, secretPrefix, secretPrefix)
		}
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("key %d is not base64 behind %s", i+1, secretPrefix)
		}
		if len(key) < minKey || len(key) > maxKey {
			return nil, fmt.Errorf("key %d has %d bytes; a key has %d to %d", i+1, len(key), minKey, maxKey)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}
