package bridge_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// What kubectl shows of triggers, as the API server prints it: whether one is ready, and
// when it ticks next, which is a time to come and no age.
func TestColumnsOfTriggers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil).start()
	w.trigger("wrong", "", func(t *salvor.ActionTrigger) {
		t.Spec.When = salvor.TriggerSource{Schedule: &salvor.ScheduleSource{Cron: "0 0 31 2 *"}}
	})
	w.trigger("yearly", "", func(t *salvor.ActionTrigger) {
		t.Spec.When = salvor.TriggerSource{Schedule: &salvor.ScheduleSource{Cron: "@yearly"}}
	})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		rows := w.columns()
		if !assert.Len(c, rows, 2) {
			return
		}
		assert.Equal(c, "False", rows["wrong"]["Ready"])
		assert.Equal(c, "Invalid", rows["wrong"]["Reason"])
		assert.Equal(c, "True", rows["yearly"]["Ready"])
		next, ok := rows["yearly"]["Next Tick"].(string)
		assert.True(c, ok)
		at, err := time.Parse(time.RFC3339, next)
		assert.NoError(c, err)
		assert.True(c, at.After(time.Now()), next)
	}, patience, tick)
}

// columns of the triggers by their names.
func (w *world) columns() map[string]map[string]any {
	w.t.Helper()
	text, err := w.clients.Kube.CoreV1().RESTClient().Get().
		AbsPath("/apis", salvor.GroupVersion.Group, salvor.GroupVersion.Version, "namespaces", w.namespace, salvor.ActionTriggers.Resource).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(w.t.Context())
	require.NoError(w.t, err)
	var table metav1.Table
	require.NoError(w.t, json.Unmarshal(text, &table))
	rows := map[string]map[string]any{}
	for _, row := range table.Rows {
		cells := map[string]any{}
		for i, column := range table.ColumnDefinitions {
			cells[column.Name] = row.Cells[i]
		}
		name, ok := cells["Name"].(string)
		require.True(w.t, ok)
		rows[name] = cells
	}
	return rows
}
