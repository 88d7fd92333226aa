package kube_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/kube"
)

// What a real API server does after its etcd was restored is in the tests of
// package bridge.
func TestRewindable(t *testing.T) {
	asked, newest := 0, "100"
	var away error
	source := kube.Rewindable(&cache.ListWatch{
		ListWithContextFunc: func(context.Context, metav1.ListOptions) (runtime.Object, error) {
			return &kanister.ActionSetList{}, nil
		},
		WatchFuncWithContext: func(context.Context, metav1.ListOptions) (watch.Interface, error) { return watch.NewEmptyWatch(), nil },
	}, func(context.Context) (string, error) { asked++; return newest, away })
	from := func(version string) error {
		_, errList := source.ListWithContextFunc(t.Context(), metav1.ListOptions{ResourceVersion: version})
		_, errWatch := source.WatchFuncWithContext(t.Context(), metav1.ListOptions{ResourceVersion: version})
		assert.Equal(t, errList == nil, errWatch == nil)
		return errWatch
	}
	require.NoError(t, from(""))
	require.NoError(t, from("0"))
	assert.Zero(t, asked, "what goes on from nothing asks for nothing")
	require.NoError(t, from("100"))
	require.NoError(t, from("99"))
	assert.True(t, apierrors.IsResourceExpired(from("101")))
	require.NoError(t, from("of another kind"))
	away = errors.New("away")
	require.ErrorIs(t, from("5"), away)
}

func TestNotServed(t *testing.T) {
	resource := kanister.ActionSets.GroupResource()
	assert.False(t, kube.NotServed(apierrors.NewNotFound(resource, "x")), "the object is missing")
	assert.True(t, kube.NotServed(apierrors.NewGenericServerResponse(404, "get", resource, "x", "404 page not found", 0, true)), "the resource is missing")
	assert.False(t, kube.NotServed(apierrors.NewForbidden(resource, "x", nil)))
	assert.False(t, kube.NotServed(nil))
}
