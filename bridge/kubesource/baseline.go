package kubesource

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

// mostObjects is how many objects, or Kubernetes Events, of one trigger are
// remembered: the record has to fit into a message.
const mostObjects = 5000

// record is what a trigger has seen, as it lies under event.BaselineKey.
type record struct {
	// Namespace of the trigger.
	Namespace string `json:"namespace"`
	// Annotation of its objects, nil if it does not ask for one.
	Annotation *values `json:"annotation,omitempty"`
	// Events of its namespace, nil if it does not ask for them.
	Events *counts `json:"events,omitempty"`
}

// values are those that objects had.
type values struct {
	// Of says what was looked for; for something else all begins anew.
	Of string `json:"of"`
	// Epoch is when this record was begun, so that its ids are its own.
	Epoch string `json:"epoch"`
	// Objects by UID.
	Objects map[string]value `json:"objects"`
}

// value of an annotation, of an object that has it or had it.
type value struct {
	// N counts the changes since the record was begun.
	N int64 `json:"n,omitempty"`
	// Hash of the value, empty if there is none now.
	Hash string `json:"hash,omitempty"`
}

// object as it is now.
type object struct {
	uid, name string
	// value of the annotation, if it has it.
	value string
	has   bool
	// fits says that the trigger asks for this object.
	fits bool
}

// change is a value that counts.
type change struct {
	object

	id string
}

// compare tells which values are new, and what is to be remembered: pure. The first
// time, and when something else is looked for, nothing is new: what was there before
// the trigger does not count. tooMany are objects that are not followed.
func (v *values) compare(of, key string, now time.Time, objects []object) (next *values, changes []change, tooMany int) {
	next = &values{Of: of, Objects: map[string]value{}}
	begins := v == nil || v.Of != of
	if begins {
		v = &values{Epoch: fmt.Sprintf("%x", now.UnixNano())}
	}
	next.Epoch = v.Epoch
	// Those that are remembered keep their place.
	for _, known := range []bool{true, false} {
		for _, o := range objects {
			was, remembered := v.Objects[o.uid]
			if remembered != known || (!remembered && !o.has) {
				continue
			}
			if !remembered && len(next.Objects) >= mostObjects {
				tooMany++
				continue
			}
			is := value{N: was.N, Hash: hashOf(o)}
			if is.Hash != was.Hash && !begins {
				is.N++
				if o.has && o.fits {
					changes = append(changes, change{object: o, id: fmt.Sprintf("%s/%s/%s/%d/%s", o.uid, key, v.Epoch, is.N, is.Hash)})
				}
			}
			next.Objects[o.uid] = is
		}
	}
	return next, changes, tooMany
}

func hashOf(o object) string {
	if !o.has {
		return ""
	}
	sum := sha256.Sum256([]byte(o.value))
	return hex.EncodeToString(sum[:8])
}

// counts are how often Kubernetes Events had occurred.
type counts struct {
	// Of says what was looked for.
	Of string `json:"of"`
	// Events by UID.
	Events map[string]int64 `json:"events"`
}

// occurrence is a Kubernetes Event as it is now.
type occurrence struct {
	uid string
	// count of how often it occurred, at when it last did.
	count int64
	at    time.Time
}

// id is the same whoever tells of it.
func (o occurrence) id() string { return fmt.Sprintf("%s/%d", o.uid, o.count) }

// compare tells which occurrences are new: pure. The first time it is those since a
// moment, nil for none. Of one that occurred several times in between, the last
// counts.
func (c *counts) compare(of string, since *time.Time, now []occurrence) (next *counts, fired []occurrence, tooMany int) {
	next = &counts{Of: of, Events: map[string]int64{}}
	begins := c == nil || c.Of != of
	for _, known := range []bool{true, false} {
		for _, o := range now {
			var was int64
			remembered := false
			if !begins {
				was, remembered = c.Events[o.uid]
			}
			if remembered != known {
				continue
			}
			if !remembered && len(next.Events) >= mostObjects {
				tooMany++
				continue
			}
			next.Events[o.uid] = max(o.count, was)
			if begins && (since == nil || o.at.Before(*since)) {
				continue
			}
			if o.count > was {
				fired = append(fired, o)
			}
		}
	}
	return next, fired, tooMany
}
