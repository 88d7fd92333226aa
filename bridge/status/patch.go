package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

// FieldManager is the name under which the bridge writes; an ActionSet whose
// status has this manager is one of ours.
const FieldManager = "salvor-bridge"

var (
	// ErrGone means that the ActionSet does not exist any more, or another one has its
	// name.
	ErrGone = errors.New("the ActionSet is gone")
	// ErrRefused means that the API server will never take this status as it is.
	ErrRefused = errors.New("the API server refuses the status")
)

// Ref names an ActionSet and the run made from it.
type Ref struct {
	Namespace, Name, UID string
}

// String is namespace/name.
func (r Ref) String() string { return r.Namespace + "/" + r.Name }

// Writer patches the status of ActionSets.
type Writer struct {
	clients *kube.Clients
	// whole is set once it is known that the CRD has no status subresource.
	whole atomic.Bool
}

// NewWriter returns a writer.
func NewWriter(c *kube.Clients) *Writer { return &Writer{clients: c} }

type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// Write replaces the status. If the ActionSet is gone, ErrGone is returned; if
// the status can never be written as it is, ErrRefused. Any other error is worth
// another try.
func (w *Writer) Write(ctx context.Context, ref Ref, status *kanister.ActionSetStatus) error {
	patch, err := json.Marshal([]operation{
		{Op: "test", Path: "/metadata/uid", Value: ref.UID},
		{Op: "add", Path: "/status", Value: status},
	})
	if err != nil {
		return fmt.Errorf("encode the status of %s: %w: %w", ref, ErrRefused, err)
	}
	if !w.whole.Load() {
		_, err := w.patch(ctx, ref, patch, "status")
		if !apierrors.IsNotFound(err) {
			return w.explain(ctx, ref, err)
		}
		// Either the ActionSet is gone or the CRD has no status subresource.
		if gone := w.checkGone(ctx, ref); gone != nil {
			return gone
		}
		w.whole.Store(true)
	}
	found, err := w.patch(ctx, ref, patch)
	if err == nil && (found.Status == nil || found.Status.State != status.State) {
		// The CRD has got a status subresource meanwhile: the object's own status
		// is then left as it is, and that is no error.
		w.whole.Store(false)
		_, err = w.patch(ctx, ref, patch, "status")
	}
	return w.explain(ctx, ref, err)
}

// SetCondition sets one condition and leaves the rest of the status as it is. The
// errors are those of Write.
func (w *Writer) SetCondition(ctx context.Context, ref Ref, condition metav1.Condition) error {
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		found, err := w.clients.ActionSets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return err // explain wraps it
		}
		if string(found.UID) != ref.UID {
			return ErrGone
		}
		var conditions []metav1.Condition
		if found.Status != nil {
			conditions = found.Status.Conditions
		}
		meta.SetStatusCondition(&conditions, condition)
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": ref.UID, "resourceVersion": found.ResourceVersion},
			"status":   map[string]any{"conditions": conditions},
		})
		if err != nil {
			return fmt.Errorf("encode a condition of %s: %w: %w", ref, ErrRefused, err)
		}
		var subresources []string
		if !w.whole.Load() {
			subresources = []string{"status"}
		}
		_, err = w.clients.ActionSets(ref.Namespace).Patch(ctx, ref.Name, types.MergePatchType, patch,
			metav1.PatchOptions{FieldManager: FieldManager}, subresources...)
		if apierrors.IsNotFound(err) && !w.whole.Load() && w.checkGone(ctx, ref) == nil {
			w.whole.Store(true)
			return apierrors.NewConflict(kanister.ActionSets.GroupResource(), ref.Name, err) // once more, the other way
		}
		return err // explain wraps it
	})
	if errors.Is(err, ErrGone) || errors.Is(err, ErrRefused) {
		return err // it says all
	}
	return w.explain(ctx, ref, err)
}

func (w *Writer) patch(ctx context.Context, ref Ref, patch []byte, subresources ...string) (*kanister.ActionSet, error) {
	found, err := w.clients.ActionSets(ref.Namespace).Patch(ctx, ref.Name, types.JSONPatchType, patch,
		metav1.PatchOptions{FieldManager: FieldManager}, subresources...)
	return found, err // explain wraps it
}

// explain sorts the API server's answers. It refuses a failed test of the uid
// and a status that breaks the schema with the same 422, so the object is looked
// at.
func (w *Writer) explain(ctx context.Context, ref Ref, err error) error {
	switch {
	case err == nil:
		return nil
	case apierrors.IsNotFound(err):
		// The object, its status subresource or its whole resource is missing.
		if gone := w.checkGone(ctx, ref); gone != nil {
			return gone
		}
		return fmt.Errorf("write the status of %s: %w", ref, err)
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		if gone := w.checkGone(ctx, ref); gone != nil {
			return gone
		}
		return fmt.Errorf("status of %s: %w: %w", ref, ErrRefused, err)
	}
	return fmt.Errorf("write the status of %s: %w", ref, err)
}

// checkGone returns nil when the very ActionSet is there.
func (w *Writer) checkGone(ctx context.Context, ref Ref) error {
	found, err := w.clients.ActionSets(ref.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case kube.NotServed(err):
		return fmt.Errorf("ActionSets are not served, is their CRD missing? %w", err)
	case apierrors.IsNotFound(err), err == nil && string(found.UID) != ref.UID:
		return fmt.Errorf("status of %s: %w", ref, ErrGone)
	case err != nil:
		return fmt.Errorf("read %s: %w", ref, err)
	}
	return nil
}

// reduced is the status without outputs and artifacts, for an API server that
// refuses the whole: a run must reach its end in any case.
func reduced(s *kanister.ActionSetStatus) *kanister.ActionSetStatus {
	out := outline(s)
	out.Conditions = append(out.Conditions, metav1.Condition{
		Type: "Reduced", Status: metav1.ConditionTrue, Reason: reasonTooLarge, LastTransitionTime: *out.Progress.LastTransitionTime,
		Message: "outputs and artifacts were left out because the API server refused the whole status; the run's record has them",
	})
	return out
}

// outline is a copy of the status without outputs and artifacts.
func outline(s *kanister.ActionSetStatus) *kanister.ActionSetStatus {
	out := s.DeepCopy()
	for i := range out.Actions {
		out.Actions[i].Artifacts = nil
		for j := range out.Actions[i].Phases {
			out.Actions[i].Phases[j].Output = nil
		}
		if out.Actions[i].DeferPhase != nil {
			out.Actions[i].DeferPhase.Output = nil
		}
	}
	return out
}
