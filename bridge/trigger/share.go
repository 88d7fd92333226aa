package trigger

import (
	"errors"
	"fmt"

	"k8s.io/client-go/tools/cache"

	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Notify has changed called for each trigger that is there, that changes (its status
// too) and that is gone. It is called one at a time and must not block.
func (w *Watcher) Notify(changed func(t *salvor.ActionTrigger, gone bool)) error {
	handle := func(obj any, gone bool) {
		if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = last.Obj
		}
		if t, ok := obj.(*salvor.ActionTrigger); ok {
			changed(t, gone)
		}
	}
	var errs []error
	for _, informer := range w.informers {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { handle(obj, false) },
			UpdateFunc: func(_, obj any) { handle(obj, false) },
			DeleteFunc: func(obj any) { handle(obj, true) },
		})
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("watch ActionTriggers: %w", err)
	}
	return nil
}

// LabelValue is the name of a trigger, or of an ActionSet, as the value of a label,
// which may be shorter than a name.
func LabelValue(name string) string { return labelValue(name) }
