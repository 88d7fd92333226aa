package frontdoor

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// copies is how often each event is sent.
const copies = 3

// door is a way in.
type door struct {
	name string
	// send returns an error unless the event was acknowledged.
	send func(ctx context.Context, l *lab, body []byte) error
}

var doors = []door{
	{"http+token", func(ctx context.Context, l *lab, body []byte) error {
		return l.post(ctx, body, http.Header{"Authorization": {"Bearer " + token}})
	}},
	{"http+signature", func(ctx context.Context, l *lab, body []byte) error {
		return l.post(ctx, body, signed(body))
	}},
	{"nats request", func(ctx context.Context, l *lab, body []byte) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		reply, err := l.nc.RequestWithContext(ctx, "in."+l.namespace, body)
		if err != nil {
			return err
		}
		var said struct {
			Accepted int `json:"accepted"`
		}
		if err := json.Unmarshal(reply.Data, &said); err != nil || said.Accepted != 1 {
			return fmt.Errorf("reply: %s", reply.Data)
		}
		return nil
	}},
	{"jetstream", func(ctx context.Context, l *lab, body []byte) error {
		_, err := l.js.Publish(ctx, "outside."+l.namespace, body)
		return err
	}},
}

// signed are the headers of a request whose body, or of a GET the query, is signed.
func signed(content []byte) http.Header {
	id, at := strconv.FormatUint(rand.Uint64(), 36), strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, signingKey)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, at, content)
	return http.Header{
		"Webhook-Id": {id}, "Webhook-Timestamp": {at},
		"Webhook-Signature": {"v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))},
	}
}

func (l *lab) post(ctx context.Context, body []byte, header http.Header) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = header
	request.Header.Set("Content-Type", "application/cloudevents+json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("%s: %s", response.Status, answer)
	}
	return nil
}

// source of all events.
const source = "/frontdoor"

func eventID(n int) string { return fmt.Sprintf("e-%04d", n) }

// keys is over how many subjects the events are spread.
const keys = 5

func subject(n int) string { return "s" + strconv.Itoa(n%keys) }

func body(n int) []byte {
	e := cloudevents.NewEvent()
	e.SetType("com.example.frontdoor")
	e.SetSource(source)
	e.SetID(eventID(n))
	e.SetSubject(subject(n))
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // it has text only
	}
	return text
}

// sendAll sends every event three times, in random order, until each is acknowledged.
func (l *lab) sendAll() {
	sends := rand.Perm(*events * copies)
	used, again := make([]atomic.Int64, len(doors)), atomic.Int64{}
	group, ctx := errgroup.WithContext(l.t.Context())
	group.SetLimit(16)
	for _, n := range sends {
		group.Go(func() error {
			d := rand.IntN(len(doors))
			used[d].Add(1)
			for {
				err := doors[d].send(ctx, l, body(n%*events))
				if err == nil {
					return nil
				}
				if ctx.Err() != nil {
					return err
				}
				again.Add(1)
				time.Sleep(time.Duration(50+rand.IntN(150)) * time.Millisecond)
			}
		})
		// So that the kills fall among the sending, not behind it.
		time.Sleep(pace)
	}
	require.NoError(l.t, group.Wait())
	for i := range doors {
		l.t.Logf("%-15s %d", doors[i].name, used[i].Load())
	}
	l.t.Logf("sent again     %d times, as there was no acknowledgement", again.Load())
}

// pace is the time from one send to the next.
const pace = 10 * time.Millisecond
