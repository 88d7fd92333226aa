package fair

import (
	"container/list"
	"maps"
	"slices"
)

// Item is something that waits for a slot.
type Item struct {
	// ID is unique.
	ID string
	// Namespace whose turn it must be.
	Namespace string
	// Tier comes before the tiers with higher numbers.
	Tier int
	// Cost in credits; less than 1 counts as 1.
	Cost int
}

func (i Item) cost() int { return max(i.Cost, 1) }

// Options of a Queue.
type Options struct {
	// Window is the number of slots; at least 1.
	Window int
	// Weight returns a namespace's credit for each round; less than 1 counts as
	// 1. Nil gives every namespace 1.
	Weight func(namespace string) int
}

// Queue holds what waits and counts what was released.
type Queue struct {
	options Options
	tiers   map[int]*tier
	order   []int // of the tiers, ascending
	waiting map[string]*entry
	held    map[string]struct{}
}

// tier is a ring of the namespaces that have waiting items.
type tier struct {
	ring   *list.List // of *flow; its front has its turn
	flows  map[string]*flow
	length int
}

// flow is what waits of one namespace.
type flow struct {
	items    *list.List // of Item
	credit   int
	credited bool // in this turn
	place    *list.Element
}

type entry struct {
	tier  *tier
	flow  *flow
	place *list.Element
}

// New returns an empty queue.
func New(o Options) *Queue {
	o.Window = max(o.Window, 1)
	return &Queue{options: o, tiers: map[int]*tier{}, waiting: map[string]*entry{}, held: map[string]struct{}{}}
}

// Push adds an item at the end of its namespace's backlog. An item that waits or
// holds a slot already is left as it is, and false is returned.
func (q *Queue) Push(i Item) bool {
	if _, ok := q.waiting[i.ID]; ok {
		return false
	}
	if _, ok := q.held[i.ID]; ok {
		return false
	}
	t := q.tiers[i.Tier]
	if t == nil {
		t = &tier{ring: list.New(), flows: map[string]*flow{}}
		q.tiers[i.Tier] = t
		q.order = slices.Sorted(maps.Keys(q.tiers))
	}
	f := t.flows[i.Namespace]
	if f == nil {
		f = &flow{items: list.New()}
		f.place = t.ring.PushBack(f)
		t.flows[i.Namespace] = f
	}
	q.waiting[i.ID] = &entry{tier: t, flow: f, place: f.items.PushBack(i)}
	t.length++
	return true
}

// Pop takes the item whose turn it is and gives it a slot. If nothing waits or
// the window is used up, false is returned.
func (q *Queue) Pop() (Item, bool) {
	if len(q.held) >= q.options.Window {
		return Item{}, false
	}
	for _, number := range q.order {
		if t := q.tiers[number]; t.length > 0 {
			i := q.turn(t)
			q.held[i.ID] = struct{}{}
			return i, true
		}
	}
	return Item{}, false
}

// turn goes round the ring until a namespace's credit covers its first item.
func (q *Queue) turn(t *tier) Item {
	for {
		f := value[*flow](t.ring.Front())
		i := value[Item](f.items.Front())
		if !f.credited {
			f.credited = true
			f.credit += q.weight(i.Namespace)
		}
		if f.credit >= i.cost() {
			f.credit -= i.cost()
			q.remove(i.ID)
			return i
		}
		f.credited = false
		t.ring.MoveToBack(f.place)
	}
}

// Remove takes back an item that waits. If it does not wait, false is returned.
func (q *Queue) Remove(id string) bool {
	if q.waiting[id] == nil {
		return false
	}
	q.remove(id)
	return true
}

func (q *Queue) remove(id string) {
	e := q.waiting[id]
	delete(q.waiting, id)
	i := value[Item](e.place)
	e.flow.items.Remove(e.place)
	e.tier.length--
	if e.flow.items.Len() == 0 {
		e.tier.ring.Remove(e.flow.place)
		delete(e.tier.flows, i.Namespace)
	}
}

// Take gives a slot to what runs already, in the window or beyond it. An item
// that waits under this id stops waiting.
func (q *Queue) Take(id string) {
	q.Remove(id)
	q.held[id] = struct{}{}
}

// Done gives a slot back. If the id holds none, false is returned.
func (q *Queue) Done(id string) bool {
	_, ok := q.held[id]
	delete(q.held, id)
	return ok
}

// Held returns the number of slots in use.
func (q *Queue) Held() int { return len(q.held) }

// Waiting returns the number of items that wait, by tier. Tiers that were used
// once are listed with 0.
func (q *Queue) Waiting() map[int]int {
	counts := make(map[int]int, len(q.tiers))
	for number, t := range q.tiers {
		counts[number] = t.length
	}
	return counts
}

func (q *Queue) weight(namespace string) int {
	if q.options.Weight == nil {
		return 1
	}
	return max(q.options.Weight(namespace), 1)
}

// value is what a list element holds; the lists here hold one type each.
func value[T any](e *list.Element) T {
	v, _ := e.Value.(T) //nolint:errcheck // one type per list
	return v
}
