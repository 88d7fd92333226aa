package trigger

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What holds until somebody changes something is not tried again; a quota that is
// exhausted has room again when something else has ended.
func TestWhichRefusalsHold(t *testing.T) {
	of := schema.GroupResource{Group: "cr.kanister.io", Resource: "actionsets"}
	for name, c := range map[string]struct {
		err    error
		reason string
	}{
		"policy":     {apierrors.NewForbidden(of, "a", errors.New("ValidatingAdmissionPolicy 'p' denied request")), "Forbidden"},
		"quota":      {apierrors.NewForbidden(of, "a", errors.New("exceeded quota: few, requested: count/actionsets.cr.kanister.io=1, used: count/actionsets.cr.kanister.io=5, limited: count/actionsets.cr.kanister.io=5")), ""},
		"bad":        {apierrors.NewBadRequest("no"), "Invalid"},
		"not there":  {apierrors.NewNotFound(of, "a"), "NotFound"},
		"overloaded": {apierrors.NewTooManyRequests("later", 1), ""},
		"cut off":    {errors.New("connection refused"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			reason, permanent := permanentReason(c.err)
			assert.Equal(t, c.reason, reason)
			assert.Equal(t, c.reason != "", permanent)
		})
	}
}
