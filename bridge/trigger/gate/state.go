package gate

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/salvor-io/salvor/api/event"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Version of the record. A State of a newer one is left alone.
const Version = 1

const (
	// Memory is how long the identity of an event is remembered.
	Memory = 15 * time.Minute
	// mostSeen bounds the identities.
	mostSeen = 8192
	// mostAnswers bounds the different answers to them: events that start an ActionSet
	// each, whose names keep them apart beyond that.
	mostAnswers = 1024
	// mostBodies bounds the events that are kept whole while their ActionSets are made.
	mostBodies = 8
)

// Rules are what the trigger says.
type Rules struct {
	// Coalesce is the length of a window; 0 is none.
	Coalesce time.Duration
	// Concurrency; empty is Allow.
	Concurrency salvor.ConcurrencyPolicy
	// Starts that are allowed within Per; 0 is no limit.
	Starts int
	Per    time.Duration
	// Since is when deliveries began: what was seen before may come again until Memory
	// has passed, however long nobody was there.
	Since time.Time
	// Name makes the name of an ActionSet from what it must differ by.
	Name func(identity string) string
}

// Needed says that an event alone cannot be decided on.
func (r *Rules) Needed() bool {
	return r.Coalesce > 0 || r.Starts > 0 || r.tracks()
}

// tracks says that it matters how long an ActionSet runs.
func (r *Rules) tracks() bool {
	return r.Concurrency == salvor.ConcurrencyForbid || r.Concurrency == salvor.ConcurrencyReplace
}

// Owner says whose gate it is: it can be found from nothing but the record.
type Owner struct {
	Namespace string `json:"namespace"`
	Trigger   string `json:"trigger"`
	UID       string `json:"uid"`
	// Key as it was rendered.
	Key string `json:"key,omitempty"`
	// Parked says that it holds one event, without rules, that could not be turned
	// into an ActionSet for now.
	Parked bool `json:"parked,omitempty"`
}

// Event is one that matched.
type Event struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	Type   string `json:"type"`
	// Sequence in EVENTS.
	Sequence uint64 `json:"sequence"`
	// At is when it was stored.
	At time.Time `json:"at"`
	// Body is the whole event as JSON; empty for a large one, which is read again
	// from EVENTS.
	Body json.RawMessage `json:"body,omitempty"`
}

func (e *Event) identity() string { return e.Source + "\x1f" + e.ID }

// hash is the event's identity, as it is remembered.
func (e *Event) hash() uint64 {
	sum := sha256.Sum256([]byte(e.identity()))
	return binary.BigEndian.Uint64(sum[:])
}

// State is the record. Its zero value, with an Owner, is a gate that holds nothing.
type State struct {
	Version int   `json:"version"`
	Owner   Owner `json:"owner"`
	// By names the process that wrote it last, which sees to what is due; others do
	// only if it does not.
	By string `json:"by,omitempty"`
	// Window holds the events that wait.
	Window *Window `json:"window,omitempty"`
	// Starting are the ActionSets that are to be made, or perhaps are.
	Starting []Start `json:"starting,omitempty"`
	// Active are the ActionSets that have not ended, if that matters.
	Active []Active `json:"active,omitempty"`
	// Starts are the times of the last ones, for the rate.
	Starts []time.Time `json:"starts,omitempty"`
	// Newest is the sequence of the newest event that an ActionSet was made from.
	Newest uint64 `json:"newest,omitempty"`
	// Seen are the identities of events, oldest first.
	Seen []Seen `json:"seen,omitempty"`

	index map[uint64]int // of Seen by identity
}

// Window holds events that wait together.
type Window struct {
	// Key in OUTCOMES.
	Key string `json:"key"`
	// Last is the one that was stored last.
	Last   Event     `json:"last"`
	Count  int64     `json:"count"`
	Opened time.Time `json:"opened"`
	Due    time.Time `json:"due"`
}

// Start is an ActionSet that is to be made.
type Start struct {
	Name   string `json:"name"`
	Window Window `json:"window"`
	// Ended says that its end was seen before its beginning.
	Ended bool `json:"ended,omitempty"`
}

// Active is an ActionSet that has not ended.
type Active struct {
	Name string `json:"name"`
	// Window of the events that it was made for.
	Window string `json:"window,omitempty"`
	// Cancelled says that its end was asked for.
	Cancelled bool `json:"cancelled,omitempty"`
}

// Seen are events with the same answer.
type Seen struct {
	At     time.Time `json:"at"`
	Answer Answer    `json:"answer"`
	IDs    ids       `json:"ids"`
}

// Answer is what became of an event.
type Answer struct {
	// Window to look at in OUTCOMES; empty if the event was rejected.
	Window string `json:"window,omitempty"`
	// Rejected says why, in words.
	Rejected string `json:"rejected,omitempty"`
	// Limit says that it was the rate limit.
	Limit bool `json:"limit,omitempty"`
}

// ids are identities; as JSON one text of eight bytes each.
type ids []uint64

// MarshalJSON writes the text.
func (s ids) MarshalJSON() ([]byte, error) {
	raw := make([]byte, 0, 8*len(s))
	for _, id := range s {
		raw = binary.BigEndian.AppendUint64(raw, id)
	}
	return json.Marshal(base64.RawStdEncoding.EncodeToString(raw)) //nolint:wrapcheck // text is never refused
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *ids) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("identities: %w", err)
	}
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return fmt.Errorf("identities: %w", err)
	}
	*s = make(ids, 0, len(raw)/8)
	for ; len(raw) >= 8; raw = raw[8:] {
		*s = append(*s, binary.BigEndian.Uint64(raw))
	}
	return nil
}

// Decode reads a record.
func Decode(data []byte) (*State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("decode a gate: %w", err)
	}
	if s.Version != Version {
		return nil, fmt.Errorf("the gate of trigger %s/%s has version %d, this program knows %d", s.Owner.Namespace, s.Owner.Trigger, s.Version, Version)
	}
	return &s, nil
}

// Encode writes a record.
func (s *State) Encode() ([]byte, error) {
	s.Version = Version
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the gate of trigger %s/%s: %w", s.Owner.Namespace, s.Owner.Trigger, err)
	}
	return data, nil
}

// Idle says that the gate holds nothing: its record can go.
func (s *State) Idle() bool {
	return s.Window == nil && len(s.Starting) == 0 && len(s.Active) == 0 && len(s.Starts) == 0 && len(s.Seen) == 0
}

// Key in OUTCOMES of a window that opens with an event.
func (s *State) windowKey(first *Event, now time.Time) string {
	// The time: an event that opens a window again after it was forgotten must not be
	// answered with what became of the first.
	return event.WindowKey(s.Owner.UID, s.Owner.Key, first.Source, first.ID+"\x1f"+now.UTC().Format(time.RFC3339Nano))
}

func (s *State) active(name string) int {
	return slices.IndexFunc(s.Active, func(a Active) bool { return a.Name == name })
}

// IsStarting says that an ActionSet is to be made, or perhaps is.
func (s *State) IsStarting(name string) bool { return s.starting(name) >= 0 }

func (s *State) starting(name string) int {
	return slices.IndexFunc(s.Starting, func(a Start) bool { return a.Name == name })
}
