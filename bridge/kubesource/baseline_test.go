package kubesource

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/salvor-io/salvor/api/event"
)

// wire is a record as it is after it was stored.
func wire[T any](t require.TestingT, r *T) *T {
	text, err := json.Marshal(r)
	require.NoError(t, err)
	out := new(T)
	require.NoError(t, json.Unmarshal(text, out))
	return out
}

// Over any history of objects, looked at whenever and with a crash between telling and
// remembering at any look: each value that an object has at a look, and had not at the
// look before, is told under one id, and under no other; what was there at first is
// not; and an id is never used for two changes.
func TestValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var record *values
		objects := map[string]object{}
		// last is what the model saw at the look that was remembered last.
		last, begun, epoch := map[string]string{}, false, time.Unix(0, 7)
		told := map[string]string{} // by id, what was told
		made := 0
		draw := func() {
			uids := append(slices.Sorted(maps.Keys(objects)), fmt.Sprintf("object%d", made))
			uid := rapid.SampledFrom(uids).Draw(t, "object")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				delete(objects, uid)
				made++ // one that is made again has another UID
			case 1:
				objects[uid] = object{uid: uid, fits: true}
			default:
				objects[uid] = object{
					uid: uid, fits: rapid.IntRange(0, 3).Draw(t, "fits") > 0, has: true,
					value: rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "value"),
				}
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			draw()
			if rapid.Bool().Draw(t, "looks") {
				all := slices.Collect(maps.Values(objects))
				next, changes, tooMany := record.compare("of", "key", epoch, all)
				require.Zero(t, tooMany)
				want := map[string]bool{}
				for uid, o := range objects {
					is := ""
					if o.has {
						is = "=" + o.value
					}
					if begun && is != last[uid] && o.has && o.fits {
						want[uid+is] = true
					}
				}
				got := map[string]bool{}
				for _, ch := range changes {
					what := ch.uid + "=" + ch.value
					got[what] = true
					if was, again := told[ch.id]; again && was != what {
						t.Fatalf("id %s stood for %s and stands for %s", ch.id, was, what)
					}
					told[ch.id] = what
				}
				require.Equal(t, want, got)
				if rapid.IntRange(0, 2).Draw(t, "crash") == 0 {
					_, repeated, _ := record.compare("of", "key", epoch, all)
					require.ElementsMatch(t, changes, repeated, "after a crash the same is told under the same ids")
					continue
				}
				record, begun = wire(t, next), true
				clear(last)
				for uid, o := range objects {
					if o.has {
						last[uid] = "=" + o.value
					}
				}
				_, quiet, _ := record.compare("of", "key", epoch, all)
				require.Empty(t, quiet, "what was remembered is not told again")
			}
		}
	})
}

// Another question begins anew, and what does not fit into the record is said.
func TestValuesBegin(t *testing.T) {
	now := time.Unix(1, 0)
	one := []object{{uid: "a", value: "1", has: true, fits: true}}
	first, changes, _ := (*values)(nil).compare("of", "key", now, one)
	assert.Empty(t, changes)
	one[0].value = "2"
	_, changes, _ = first.compare("other", "key", now, one)
	assert.Empty(t, changes)
	_, changes, _ = first.compare("of", "key", now, one)
	require.Len(t, changes, 1)
	other, _, _ := (*values)(nil).compare("of", "key", now.Add(1), []object{{uid: "a", value: "1", has: true}})
	_, again, _ := other.compare("of", "key", now, one)
	assert.NotEqual(t, changes[0].id, again[0].id, "after the loss of the store ids are new ones")

	var many []object
	for i := range mostObjects + 3 {
		many = append(many, object{uid: fmt.Sprint(i), value: "1", has: true, fits: true})
	}
	full, _, tooMany := (*values)(nil).compare("of", "key", now, many)
	assert.Equal(t, 3, tooMany)
	text, err := json.Marshal(full)
	require.NoError(t, err)
	assert.Less(t, len(text), 900<<10, "it fits into a message")
	_, changes, tooMany = full.compare("of", "key", now, reversed(many))
	assert.Empty(t, changes, "those that are remembered keep their place")
	assert.Equal(t, 3, tooMany)
}

func reversed(all []object) []object {
	out := slices.Clone(all)
	slices.Reverse(out)
	return out
}

func TestCounts(t *testing.T) {
	since := time.Unix(100, 0)
	now := []occurrence{{"early", 3, since.Add(-time.Second)}, {"late", 2, since}}
	first, fired, _ := (*counts)(nil).compare("of", &since, now)
	require.Len(t, fired, 1)
	assert.Equal(t, "late/2", fired[0].id())
	_, fired, _ = (*counts)(nil).compare("of", nil, now)
	assert.Empty(t, fired, "the store was lost; they have been told")

	first = wire(t, first)
	_, fired, _ = first.compare("of", &since, now)
	assert.Empty(t, fired)
	next, fired, _ := first.compare("of", &since, []occurrence{{"early", 5, since}, {"new", 1, since.Add(-time.Hour)}})
	assert.ElementsMatch(t, []string{"early/5", "new/1"}, []string{fired[0].id(), fired[1].id()})
	assert.Equal(t, map[string]int64{"early": 5, "new": 1}, next.Events, "those that are gone are forgotten")
}

func TestOwn(t *testing.T) {
	about := func(kind, name, reporter string) *corev1.Event {
		return &corev1.Event{InvolvedObject: corev1.ObjectReference{Kind: kind, Name: name}, ReportingController: reporter}
	}
	for _, kind := range []event.PhaseKind{event.KindCore, event.KindDefer, event.KindRender} {
		pod := (event.Key{Namespace: "shop", UID: "0d1a8f3e-77aa", Action: 3, Kind: kind, Phase: 2, Attempt: 11}).PodName()
		assert.True(t, own(about("Pod", pod, "kubelet")), pod)
		assert.False(t, own(about("Job", pod, "kubelet")), pod)
	}
	assert.True(t, own(about("ActionSet", "nightly", "salvor")))
	assert.True(t, own(about("ActionTrigger", "nightly", "salvor-trigger")))
	assert.True(t, own(&corev1.Event{Source: corev1.EventSource{Component: "salvor"}}))
	assert.False(t, own(about("Pod", "salvor-shop-0", "kubelet")), "an application may be called so")
	assert.False(t, own(about("Pod", "db-0", "salvorous")))
}
