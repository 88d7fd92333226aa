package access_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/bridge/access"
	"github.com/salvor-io/salvor/internal/kubetest"
)

// RBAC decides, by user and by group; an answer is used for a while, also while the
// API server is away.
func TestAllowed(t *testing.T) {
	api := kubetest.Start(t)
	client, err := kubernetes.NewForConfig(api.Config())
	require.NoError(t, err)
	namespace := api.Namespace(t)
	fake := clocktesting.NewFakePassiveClock(time.Now())
	reviewer := access.NewReviewer(client, fake)
	allowed := func(sender *event.Sender, right authorizationv1.ResourceAttributes) bool {
		t.Helper()
		may, err := reviewer.Allowed(t.Context(), sender, right)
		require.NoError(t, err)
		return may
	}
	shop := &event.Sender{User: "salvor:hmac:shop"}
	ops := &event.Sender{User: "salvor:x509:anna", Groups: []string{"salvor:x509:ops"}}
	assert.True(t, allowed(nil, access.Fire(namespace, "a")), "nobody was asked who it is")
	assert.False(t, allowed(shop, access.Fire(namespace, "a")))

	_, err = client.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"salvor.io"}, Resources: []string{"actiontriggers"}, ResourceNames: []string{"a"}, Verbs: []string{"fire"}},
		{APIGroups: []string{"cr.kanister.io"}, Resources: []string{"actionsets"}, Verbs: []string{"watch"}},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	_, err = client.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "r"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "r"},
		Subjects: []rbacv1.Subject{
			{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: shop.User}, {Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: ops.Groups[0]},
		},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	assert.False(t, allowed(shop, access.Fire(namespace, "a")), "the answer of before is used")
	require.Eventually(t, func() bool {
		fake.SetTime(fake.Now().Add(11 * time.Second))
		return allowed(shop, access.Fire(namespace, "a"))
	}, 3*time.Minute, 50*time.Millisecond)
	assert.True(t, allowed(ops, access.Fire(namespace, "a")))
	assert.True(t, allowed(ops, access.Watch(namespace)))
	assert.False(t, allowed(ops, access.Fire(namespace, "b")))
	assert.False(t, allowed(ops, access.Watch("")))
	assert.False(t, allowed(&event.Sender{User: "salvor:x509:anna"}, access.Watch(namespace)), "without its group")

	require.NoError(t, api.Stop())
	assert.True(t, allowed(shop, access.Fire(namespace, "a")))
	_, err = reviewer.Allowed(t.Context(), shop, access.Fire(namespace, "new"))
	require.ErrorContains(t, err, "SubjectAccessReview")
}
