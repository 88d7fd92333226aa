package functiontest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/salvor-io/salvor/internal/kubetest"
)

// User makes a user who may do in a namespace what the rules say and nothing else.
func User(tb testing.TB, server *kubetest.Server, namespace string, rules ...rbacv1.PolicyRule) *rest.Config {
	tb.Helper()
	admin, err := kubernetes.NewForConfig(server.Config())
	require.NoError(tb, err)
	role, err := admin.RbacV1().Roles(namespace).Create(tb.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "user-"}, Rules: rules,
	}, metav1.CreateOptions{})
	require.NoError(tb, err)
	_, err = admin.RbacV1().RoleBindings(namespace).Create(tb.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: role.Name}},
	}, metav1.CreateOptions{})
	require.NoError(tb, err)
	config := server.ConfigAs(role.Name, "system:authenticated")
	waitUntilAllowed(tb, config, namespace, rules)
	return config
}

// waitUntilAllowed waits for the authorizer, which learns of roles by a watch.
func waitUntilAllowed(tb testing.TB, config *rest.Config, namespace string, rules []rbacv1.PolicyRule) {
	tb.Helper()
	user, err := kubernetes.NewForConfig(config)
	require.NoError(tb, err)
	for _, rule := range rules {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: rule.Resources[0],
			},
		}}
		require.EventuallyWithT(tb, func(c *assert.CollectT) {
			answer, err := user.AuthorizationV1().SelfSubjectAccessReviews().Create(tb.Context(), review, metav1.CreateOptions{})
			if assert.NoError(c, err) {
				assert.True(c, answer.Status.Allowed)
			}
		}, patience, 20*time.Millisecond)
	}
}
