package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// errDead is what a process that died gets from the cluster: nothing any more.
var errDead = errors.New("the process died")

// cluster is a model of what retention works on: ActionSets as the API server keeps
// them, and the data that their artifacts stand for. It keeps the promises of the
// package in view of everything: each write of retention is judged as it happens.
type cluster struct {
	now   time.Time
	next  int
	as    map[string]*kanister.ActionSet
	data  map[string]bool
	fault func(format string, args ...any)
	// abandoned data have no ActionSet because a user deleted it.
	abandoned map[string]bool
	// damaged backups are those whose prune a user deleted: nobody knows any more that
	// their data are gone, perhaps in part.
	damaged  map[string]bool
	triggers map[string]*salvor.ActionTrigger
	// noBlueprint: the blueprint was deleted.
	noBlueprint bool
	// dieAt is the number of the write at which the process dies, 0 is none; with
	// dieAfter it has happened.
	dieAt    int
	dieAfter bool
	dead     bool
	// meanwhile is called before each write.
	meanwhile func()
	created   int
}

func newCluster(fault func(string, ...any)) *cluster {
	return &cluster{
		now: time.Date(2026, 3, 28, 22, 0, 0, 0, time.UTC), as: map[string]*kanister.ActionSet{}, data: map[string]bool{},
		abandoned: map[string]bool{}, damaged: map[string]bool{}, triggers: map[string]*salvor.ActionTrigger{}, fault: fault,
	}
}

func (c *cluster) id(prefix string) string {
	c.next++
	return fmt.Sprintf("%s%d", prefix, c.next)
}

// put stores an ActionSet as the API server would.
func (c *cluster) put(as *kanister.ActionSet) {
	as.Namespace, as.UID = "shop", types.UID(c.id("uid-"))
	as.ResourceVersion, as.CreationTimestamp = c.id(""), metav1.NewTime(c.now)
	c.as[as.Name] = as
}

func (c *cluster) touch(as *kanister.ActionSet) { as.ResourceVersion = c.id("") }

// all in the order of their names.
func (c *cluster) all() []*kanister.ActionSet {
	var out []*kanister.ActionSet
	for _, name := range slices.Sorted(maps.Keys(c.as)) {
		out = append(out, c.as[name])
	}
	return out
}

func isPrune(as *kanister.ActionSet) bool { return as.Labels[salvor.LabelPrunes] != "" }

func stateIn(as *kanister.ActionSet) kanister.State {
	if as.Status == nil {
		return ""
	}
	return as.Status.State
}

func unfinished(as *kanister.ActionSet) bool {
	return stateIn(as) != kanister.StateComplete && stateIn(as) != kanister.StateFailed
}

// content of artifacts: the data they stand for.
func content(artifacts map[string]kanister.Artifact) []string {
	var out []string
	for _, a := range artifacts {
		out = append(out, a.KeyValue["path"])
	}
	return out
}

func left(as *kanister.ActionSet) []string {
	var out []string
	if as.Status != nil {
		for i := range as.Status.Actions {
			out = append(out, content(as.Status.Actions[i].Artifacts)...)
		}
	}
	return out
}

func given(as *kanister.ActionSet) []string {
	var out []string
	for i := range as.Spec.Actions {
		out = append(out, content(as.Spec.Actions[i].Artifacts)...)
	}
	return out
}

// prunesOf are the ActionSets that remove the data of one.
func (c *cluster) prunesOf(as *kanister.ActionSet) []*kanister.ActionSet {
	var out []*kanister.ActionSet
	for _, p := range c.all() {
		if p.Annotations[salvor.AnnotationPrunes] == as.Name+"/"+string(as.UID) {
			out = append(out, p)
		}
	}
	return out
}

// otherWhole reports whether the same trigger made a complete one for the same key
// that is not being pruned, and that left data if the first did; newer if it must be.
func (c *cluster) otherWhole(as *kanister.ActionSet, newer bool) bool {
	return slices.ContainsFunc(c.all(), func(o *kanister.ActionSet) bool {
		return o != as && o.Annotations[salvor.AnnotationTriggerUID] == as.Annotations[salvor.AnnotationTriggerUID] && !isPrune(o) &&
			o.Labels[salvor.LabelTriggerKey] == as.Labels[salvor.LabelTriggerKey] && stateIn(o) == kanister.StateComplete &&
			len(c.prunesOf(o)) == 0 && (len(left(o)) > 0) == (len(left(as)) > 0) &&
			(!newer || cmp.Or(o.CreationTimestamp.Compare(as.CreationTimestamp.Time), cmp.Compare(o.Name, as.Name)) > 0)
	})
}

// check holds at every moment: what data there are, an ActionSet tells of, unless a
// user deleted it; and a complete backup that is not being pruned has its data.
func (c *cluster) check() {
	for path := range c.data {
		if c.abandoned[path] {
			continue
		}
		if !slices.ContainsFunc(c.all(), func(as *kanister.ActionSet) bool {
			return slices.Contains(left(as), path) || (isPrune(as) && slices.Contains(given(as), path))
		}) {
			c.fault("the data %s are there and no ActionSet tells of them", path)
		}
	}
	for _, as := range c.all() {
		if isPrune(as) || stateIn(as) != kanister.StateComplete || len(c.prunesOf(as)) > 0 || c.damaged[string(as.UID)] {
			continue
		}
		for _, path := range left(as) {
			if !c.data[path] {
				c.fault("ActionSet %s is complete and not being pruned, and its data %s are gone", as.Name, path)
			}
		}
	}
}

// api is the API server as a process of Salvor sees it.
type api struct{ *cluster }

func (a api) read() error {
	if a.dead {
		return errDead
	}
	return nil
}

// write does one write, unless the process dies before.
func (a api) write(do func() error) error {
	if a.dead {
		return errDead
	}
	if a.meanwhile != nil {
		a.meanwhile()
	}
	if a.dieAt > 0 {
		a.dieAt--
	}
	dies := a.dieAt == 1
	if dies && !a.dieAfter {
		a.dead = true
		return errDead
	}
	err := do()
	a.check()
	if dies {
		a.dead = true
		return errDead
	}
	return err
}

func (a api) List(_ context.Context, o metav1.ListOptions) (*kanister.ActionSetList, error) {
	if err := a.read(); err != nil {
		return nil, err
	}
	selector, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, err
	}
	// Pages of three, so that there are some.
	const page = 3
	list := &kanister.ActionSetList{}
	for _, as := range a.all() {
		if as.Name <= o.Continue || !selector.Matches(labels.Set(as.Labels)) {
			continue
		}
		if len(list.Items) == page {
			list.Continue = list.Items[page-1].Name
			break
		}
		list.Items = append(list.Items, *as.DeepCopy())
	}
	return list, nil
}

func notFound(name string) error {
	return apierrors.NewNotFound(kanister.ActionSets.GroupResource(), name)
}

func (a api) Get(_ context.Context, name string, _ metav1.GetOptions) (*kanister.ActionSet, error) {
	if err := a.read(); err != nil {
		return nil, err
	}
	as, ok := a.as[name]
	if !ok {
		return nil, notFound(name)
	}
	return as.DeepCopy(), nil
}

func (a api) Create(_ context.Context, as *kanister.ActionSet, _ metav1.CreateOptions) (*kanister.ActionSet, error) {
	return as, a.write(func() error {
		if _, ok := a.as[as.Name]; ok {
			return apierrors.NewAlreadyExists(kanister.ActionSets.GroupResource(), as.Name)
		}
		a.judgeCreate(as)
		a.put(as.DeepCopy())
		a.created++
		return nil
	})
}

// judgeCreate refuses an ActionSet that would remove what must stay.
func (a api) judgeCreate(as *kanister.ActionSet) {
	name, uid, _ := strings.Cut(as.Annotations[salvor.AnnotationPrunes], "/")
	triggerUID := as.Annotations[salvor.AnnotationTriggerUID]
	owners := slices.DeleteFunc(slices.Collect(maps.Values(a.triggers)), func(t *salvor.ActionTrigger) bool {
		return string(t.UID) != triggerUID || t.Spec.Suspend || t.Spec.Keep == nil
	})
	if len(owners) == 0 {
		a.fault("%s is made although its trigger is gone, suspended or keeps everything", as.Name)
	}
	if a.noBlueprint && as.Annotations[salvor.AnnotationPruneAttempt] == "1" {
		a.fault("%s is made without a blueprint", as.Name)
	}
	backup, exists := a.as[name]
	if !exists || string(backup.UID) != uid {
		backup = &kanister.ActionSet{}
	}
	if exists && !a.otherWhole(backup, as.Annotations[salvor.AnnotationPruneAttempt] == "1") {
		a.fault("%s removes the newest backup, %s", as.Name, name)
	}
	if asked := cmp.Or(owners[0].Spec.Keep.Action, "delete"); exists && string(backup.UID) == uid && as.Spec.Actions[0].Name != asked {
		a.fault("%s runs action %s, and the trigger asks for %s", as.Name, as.Spec.Actions[0].Name, asked)
	}
	for _, path := range given(as) {
		for _, o := range a.all() {
			if o != backup && !isPrune(o) && slices.Contains(left(o), path) {
				a.fault("%s removes %s, of which %s tells too", as.Name, path, o.Name)
			}
			if unfinished(o) && !isPrune(o) && slices.Contains(given(o), path) {
				a.fault("%s removes %s, which %s uses", as.Name, path, o.Name)
			}
		}
	}
}

func (a api) Delete(_ context.Context, name string, o metav1.DeleteOptions) error {
	return a.write(func() error {
		as, ok := a.as[name]
		if !ok {
			return notFound(name)
		}
		if o.Preconditions == nil || o.Preconditions.UID == nil || o.Preconditions.ResourceVersion == nil {
			a.fault("%s is deleted without preconditions", name)
			return nil
		}
		if *o.Preconditions.UID != as.UID || *o.Preconditions.ResourceVersion != as.ResourceVersion {
			return apierrors.NewConflict(kanister.ActionSets.GroupResource(), name, errors.New("precondition"))
		}
		a.judgeDelete(as)
		delete(a.as, name)
		return nil
	})
}

func (a api) judgeDelete(as *kanister.ActionSet) {
	if isPrune(as) || as.Labels["left-alone"] != "" {
		if as.Labels["left-alone"] != "" {
			a.fault("%s is deleted, which no trigger made", as.Name)
		}
		return
	}
	if unfinished(as) {
		a.fault("%s is deleted and has not ended", as.Name)
	}
	if stateIn(as) == kanister.StateComplete && !a.otherWhole(as, true) && !slices.ContainsFunc(a.prunesOf(as), func(p *kanister.ActionSet) bool {
		return stateIn(p) == kanister.StateComplete
	}) {
		a.fault("the newest backup, %s, is deleted", as.Name)
	}
}

// forget is a deletion by a user: nobody is asked, and the data are the user's.
func (c *cluster) forget(as *kanister.ActionSet) {
	delete(c.as, as.Name)
	if _, uid, ok := strings.Cut(as.Annotations[salvor.AnnotationPrunes], "/"); ok {
		c.damaged[uid] = true
	}
	for _, path := range append(left(as), given(as)...) {
		if !slices.ContainsFunc(c.all(), func(o *kanister.ActionSet) bool {
			return slices.Contains(left(o), path) || (isPrune(o) && slices.Contains(given(o), path))
		}) {
			c.abandoned[path] = true
		}
	}
}
