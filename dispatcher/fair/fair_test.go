package fair_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/salvor-io/salvor/dispatcher/fair"
)

const unlimited = 1 << 30

func item(ns string, n int) fair.Item {
	return fair.Item{ID: fmt.Sprintf("%s/%d", ns, n), Namespace: ns}
}

func TestAFloodDelaysANewcomerByOneTurn(t *testing.T) {
	t.Parallel()
	q := fair.New(fair.Options{Window: unlimited})
	for n := range 10_000 {
		require.True(t, q.Push(item("flood", n)))
	}
	for range 17 {
		_, ok := q.Pop()
		require.True(t, ok)
	}
	q.Push(item("single", 0))
	first, _ := q.Pop()
	second, _ := q.Pop()
	assert.Contains(t, []string{first.Namespace, second.Namespace}, "single")
}

func TestWeightsShareTheTurns(t *testing.T) {
	t.Parallel()
	q := fair.New(fair.Options{Window: unlimited, Weight: func(ns string) int {
		return map[string]int{"a": 3, "b": 1, "c": 0}[ns]
	}})
	for n := range 100 {
		q.Push(item("a", n))
		q.Push(item("b", n))
		q.Push(item("c", n))
	}
	got := map[string]int{}
	for range 100 {
		i, ok := q.Pop()
		require.True(t, ok)
		got[i.Namespace]++
	}
	assert.Equal(t, map[string]int{"a": 60, "b": 20, "c": 20}, got)
}

func TestCostIsPaidOverRounds(t *testing.T) {
	t.Parallel()
	q := fair.New(fair.Options{Window: unlimited})
	for n := range 20 {
		dear := item("dear", n)
		dear.Cost = 4
		q.Push(dear)
		q.Push(item("cheap", n))
	}
	got := map[string]int{}
	for range 20 {
		i, _ := q.Pop()
		got[i.Namespace]++
	}
	assert.Equal(t, map[string]int{"cheap": 16, "dear": 4}, got)
}

func TestTiersGoFirst(t *testing.T) {
	t.Parallel()
	q := fair.New(fair.Options{Window: unlimited})
	for n := range 3 {
		low := item("a", n)
		low.Tier = 5
		q.Push(low)
	}
	q.Push(item("b", 0))
	i, _ := q.Pop()
	assert.Equal(t, "b/0", i.ID)
	assert.Equal(t, map[int]int{0: 0, 5: 3}, q.Waiting())
}

func TestTheWindowHolds(t *testing.T) {
	t.Parallel()
	q := fair.New(fair.Options{Window: 2})
	for n := range 5 {
		q.Push(item("a", n))
	}
	q.Take("found/0")
	_, ok := q.Pop()
	require.True(t, ok)
	_, ok = q.Pop()
	require.False(t, ok, "the window is used up")
	require.False(t, q.Push(item("a", 0)), "it holds a slot")
	require.False(t, q.Push(item("a", 1)), "it waits")
	require.True(t, q.Done("found/0"))
	require.False(t, q.Done("found/0"), "given back already")
	q.Take("a/1") // was waiting
	assert.Equal(t, 2, q.Held())
	assert.Equal(t, map[int]int{0: 3}, q.Waiting())
}

// TestQueue compares the queue with a model of plain slices.
func TestQueue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		window := rapid.IntRange(1, 6).Draw(t, "window")
		weights := map[string]int{}
		for _, ns := range []string{"a", "b", "c", "d"} {
			weights[ns] = rapid.IntRange(1, 3).Draw(t, "weight")
		}
		q := fair.New(fair.Options{Window: window, Weight: func(ns string) int { return weights[ns] }})
		waiting, held, passed := map[string][]string{}, map[string]bool{}, map[string]int{}
		count := 0
		namespace := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		total := func() (n int) {
			for _, ids := range waiting {
				n += len(ids)
			}
			return n
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				i := item(namespace.Draw(t, "namespace"), count)
				count++
				require.True(t, q.Push(i))
				require.False(t, q.Push(i))
				waiting[i.Namespace] = append(waiting[i.Namespace], i.ID)
			},
			"pop": func(t *rapid.T) {
				i, ok := q.Pop()
				require.Equal(t, len(held) < window && total() > 0, ok)
				if !ok {
					return
				}
				require.Equal(t, waiting[i.Namespace][0], i.ID, "first in, first out")
				waiting[i.Namespace] = waiting[i.Namespace][1:]
				held[i.ID] = true
				for ns, ids := range waiting {
					if ns == i.Namespace || len(ids) == 0 {
						passed[ns] = 0
						continue
					}
					passed[ns]++
					round := 0
					for other, w := range weights {
						if other != ns {
							round += w
						}
					}
					require.LessOrEqual(t, passed[ns], round, "%s waited for more than one round", ns)
				}
			},
			"remove": func(t *rapid.T) {
				ns := namespace.Draw(t, "namespace")
				if len(waiting[ns]) == 0 {
					return
				}
				n := rapid.IntRange(0, len(waiting[ns])-1).Draw(t, "index")
				require.True(t, q.Remove(waiting[ns][n]))
				require.False(t, q.Remove(waiting[ns][n]))
				waiting[ns] = append(waiting[ns][:n:n], waiting[ns][n+1:]...)
				if len(waiting[ns]) == 0 {
					passed[ns] = 0
				}
			},
			"done": func(t *rapid.T) {
				for id := range held {
					require.True(t, q.Done(id))
					delete(held, id)
					return
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(held), q.Held())
				require.Equal(t, total(), q.Waiting()[0])
			},
		})
	})
}

func BenchmarkPushPop(b *testing.B) {
	q := fair.New(fair.Options{Window: unlimited})
	for n := range 10_000 {
		q.Push(item(fmt.Sprint(n%1000), n))
	}
	for n := 0; b.Loop(); n++ {
		i, _ := q.Pop()
		q.Done(i.ID)
		q.Push(i)
	}
}
