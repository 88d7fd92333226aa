package bridge_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge"
	"github.com/salvor-io/salvor/internal/kubetest"
	"github.com/salvor-io/salvor/internal/trigger"
)

// fleetPatience bounds the wait for a quarter of a fleet's ActionSets.
const fleetPatience = 3 * time.Minute

// A daily schedule over 1,000 namespaces of a real API server: at each moment of the
// jitter window exactly those ActionSets are there whose time has come, one for each
// namespace, though the bridge is killed at the tick and at each quarter. Package
// schedule shows how even the starts are, and what a change of the clock does.
func TestFleetOfNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes 1,000 namespaces")
	}
	t.Parallel()
	const namespaces, window = 1000, time.Hour
	api := kubetest.Start(t)
	api.InstallCRDs(t, crds)
	w := newWorldOn(t, api, func(o *bridge.Options) { o.Namespaces = nil })
	var making errgroup.Group
	making.SetLimit(16)
	triggers := make([]*salvor.ActionTrigger, namespaces)
	for i := range triggers {
		making.Go(func() (err error) {
			namespace := fmt.Sprintf("team-%d", i)
			if _, err := w.clients.Kube.CoreV1().Namespaces().Create(t.Context(),
				&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
				return err
			}
			triggers[i], err = w.clients.ActionTriggers(namespace).Create(t.Context(), nightly(), metav1.CreateOptions{})
			return err
		})
	}
	require.NoError(t, making.Wait())

	due := make([]time.Time, namespaces)
	var tick time.Time
	for i, at := range triggers {
		compiled, err := trigger.Compile(at)
		require.NoError(t, err)
		s := compiled.Schedule()
		// The newest creation: a tick between the first and the last would be another day's.
		if next := s.Next(triggers[namespaces-1].CreationTimestamp.Time); next.After(tick) {
			tick = next
		}
		due[i] = tick.Add(s.Offset())
	}
	clock := testclock.NewFakeClock(time.Now())
	w.clock = clock
	w.start()
	count := func(at time.Time) (n int) {
		for _, d := range due {
			if !d.After(at) {
				n++
			}
		}
		return n
	}
	for quarter := range 5 {
		at := tick.Add(time.Duration(quarter) * window / 4)
		clock.SetTime(at)
		w.stop() // at the very instant
		w.start()
		t.Logf("at the tick and %s: %d ActionSets", at.Sub(tick), count(at))
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			clock.Step(time.Millisecond) // for those that sleep already
			list, err := w.clients.ActionSets(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{ResourceVersion: "0"})
			if assert.NoError(c, err) {
				assert.Len(c, list.Items, count(at))
			}
		}, fleetPatience, time.Second)
	}
	w.drained()
	list, err := w.clients.ActionSets(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
	require.NoError(t, err)
	seen := map[string]bool{}
	for i := range list.Items {
		as := &list.Items[i]
		require.False(t, seen[as.Namespace], "two in %s", as.Namespace)
		seen[as.Namespace] = true
		require.Equal(t, tick.UTC().Format(time.RFC3339), as.Annotations[salvor.AnnotationEventID])
	}
	require.Len(t, seen, namespaces)
	// Each status says what a bridge that starts now goes on from.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		clock.Step(time.Second) // statuses are written once a second
		list, err := w.clients.ActionTriggers(metav1.NamespaceAll).List(t.Context(), metav1.ListOptions{})
		if !assert.NoError(c, err) {
			return
		}
		behind := 0
		for i := range list.Items {
			s := &list.Items[i].Status
			if s.LastTick == nil || !s.LastTick.Time.Equal(tick) || s.NextTick == nil || s.NextTick.Sub(tick) < 22*time.Hour {
				behind++
			}
		}
		assert.Zero(c, behind)
	}, fleetPatience, time.Second)
}

// nightly has an hour of jitter.
func nightly() *salvor.ActionTrigger {
	return &salvor.ActionTrigger{
		ObjectMeta: metav1.ObjectMeta{Name: "nightly"},
		Spec: salvor.ActionTriggerSpec{
			When: salvor.TriggerSource{Schedule: &salvor.ScheduleSource{Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Jitter: "1h"}},
			Template: salvor.ActionSetTemplate{Spec: kanister.ActionSetSpec{Actions: []kanister.ActionSpec{{
				Name: "backup", Blueprint: "bp", Object: kanister.ObjectReference{Kind: "Namespace", Name: "team"},
			}}}},
		},
	}
}
