package status

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Reasons of the Kubernetes Events that the reconciler makes.
const (
	// ReasonRunRecovered: the record of the run was lost and made anew.
	ReasonRunRecovered = "RunRecovered"
	// ReasonStatusRepaired: the ActionSet had fallen behind its run.
	ReasonStatusRepaired = "StatusRepaired"
	// ReasonRetryRefused: a run cannot go on.
	ReasonRetryRefused = "RetryRefused"
)

// tell makes the Kubernetes Events of a write.
func (p *Projector) tell(ref Ref, was, is *kanister.ActionSetStatus) {
	for _, n := range notices(was, is) {
		p.notice(ref, n)
	}
}

// Notice makes a Kubernetes Event on an ActionSet. Call it only while Run runs, or
// is about to.
func (p *Projector) Notice(ref Ref, kind, reason, message string) {
	p.notice(ref, notice{kind, reason, message})
}

func (p *Projector) notice(ref Ref, n notice) {
	<-p.recording
	p.recorder.Event(&corev1.ObjectReference{
		APIVersion: kanister.GroupVersion.String(), Kind: "ActionSet",
		Namespace: ref.Namespace, Name: ref.Name, UID: types.UID(ref.UID),
	}, n.kind, n.reason, bounded(n.message))
}

// Refuse answers a request for a retry that cannot be granted: in a condition,
// and in a Kubernetes Event. An ActionSet that is gone needs no answer.
func (p *Projector) Refuse(ctx context.Context, ref Ref, token, why string) error {
	err := p.Writer.SetCondition(ctx, ref, metav1.Condition{
		Type: ConditionRetried, Status: metav1.ConditionFalse, Reason: reasonRefused,
		Message: answer(token, why), LastTransitionTime: *seconds(p.Clock.Now()),
	})
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err // it says all
	}
	p.Notice(ref, corev1.EventTypeWarning, ReasonRetryRefused, why)
	return nil
}

// bounded cuts a message to what an Event may hold.
func bounded(message string) string {
	const limit = 1000
	if len(message) <= limit {
		return message
	}
	return fmt.Sprintf("%s… (%d bytes; the whole is in status.error.message)",
		strings.ToValidUTF8(message[:limit], ""), len(message))
}
