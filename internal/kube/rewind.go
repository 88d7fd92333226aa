package kube

import (
	"context"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// Rewindable wraps the source of an informer so that it survives an etcd which
// was restored from an older snapshot. Resource versions then go back, and a watch
// that goes on from the last one seen is silent until they have caught up: an
// informer would miss everything that happens meanwhile. Before each watch that
// goes on from a version, newest is asked for the present one, a request of a few
// bytes every few minutes; if that is older, the watch is answered as one whose
// version has expired, and everything is read again.
func Rewindable(source *cache.ListWatch, newest func(ctx context.Context) (string, error)) *cache.ListWatch {
	check := func(ctx context.Context, from string) error {
		if from == "" || from == "0" {
			return nil
		}
		now, err := newest(ctx)
		if err != nil {
			return err // the caller tells refused by type
		}
		if older(now, from) {
			return apierrors.NewResourceExpired(fmt.Sprintf("the API server is at resource version %s, before %s: its etcd was restored", now, from))
		}
		return nil
	}
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			if err := check(ctx, o.ResourceVersion); err != nil {
				return nil, err
			}
			return source.ListWithContextFunc(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			if err := check(ctx, o.ResourceVersion); err != nil {
				return nil, err
			}
			return source.WatchFuncWithContext(ctx, o)
		},
	}
}

// older reports whether resource version a was given before b. What is not a
// number, as etcd's are, is not compared.
func older(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	return errX == nil && errY == nil && x < y
}
