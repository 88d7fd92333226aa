package pods

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/salvor-io/salvor/internal/output"
)

var errCut = errors.New("connection reset")

// script is a log that is cut: each opening gives the first n bytes, then the
// error.
type script struct {
	text  string
	cuts  []int
	opens []bool
}

func (s *script) open(_ context.Context, follow bool) (io.ReadCloser, error) {
	s.opens = append(s.opens, follow)
	if len(s.cuts) == 0 {
		return io.NopCloser(strings.NewReader(s.text)), nil
	}
	cut := s.cuts[0]
	s.cuts = s.cuts[1:]
	if cut < 0 {
		return nil, errCut
	}
	return io.NopCloser(io.MultiReader(strings.NewReader(s.text[:cut]), &failing{})), nil
}

type failing struct{}

func (*failing) Read([]byte) (int, error) { return 0, errCut }

func marker(t *testing.T, key, value string) string {
	t.Helper()
	line, err := output.Format(key, value)
	require.NoError(t, err)
	return line
}

// A log that is cut at any byte gives the same values, tail and lines as one that
// is not.
func TestLogIsReadThroughCuts(t *testing.T) {
	text := "one\n" + marker(t, "a", "1") + "two\n" + marker(t, "a", "2") + "three\n" + marker(t, "b", "x") + "end"
	for cut := range len(text) + 1 {
		s := &script{text: text, cuts: []int{cut}}
		var lines []string
		l := newLogReader(s.open, clocktesting.NewFakeClock(time.Time{}), func(line string) { lines = append(lines, line) })
		require.ErrorIs(t, l.read(t.Context(), true), errCut)
		require.NoError(t, l.finish(t.Context()))
		values, err := l.parser.Finish()
		require.NoError(t, err, "cut at %d", cut)
		assert.Equal(t, map[string]any{"a": "2", "b": "x"}, values, "cut at %d", cut)
		assert.Equal(t, []string{"one", "two", "three", "end"}, lines, "passed on once, cut at %d", cut)
		assert.Equal(t, lines, l.tail, "cut at %d", cut)
		assert.Equal(t, []bool{true, false}, s.opens)
	}
}

func TestEveryLineIsPassedOnOnce(t *testing.T) {
	text := strings.Repeat("line\n", 100) + "last\n"
	s := &script{text: text, cuts: []int{3, 17, 250, 251, len(text)}}
	var lines []string
	l := newLogReader(s.open, clocktesting.NewFakeClock(time.Time{}), func(line string) { lines = append(lines, line) })
	for range 5 {
		require.ErrorIs(t, l.read(t.Context(), true), errCut)
	}
	require.NoError(t, l.finish(t.Context()))
	_, err := l.parser.Finish()
	require.NoError(t, err)
	assert.Len(t, lines, 101)
	assert.Equal(t, "last", lines[100])
}

func TestLogTooLongForOneLine(t *testing.T) {
	text := strings.Repeat("x", maxHeld+100) + "\n" + marker(t, "k", "v") + "end\n"
	s := &script{text: text, cuts: []int{maxHeld + 50}}
	l := newLogReader(s.open, clocktesting.NewFakeClock(time.Time{}), func(string) {})
	require.ErrorIs(t, l.read(t.Context(), true), errCut)
	require.NoError(t, l.finish(t.Context()))
	values, err := l.parser.Finish()
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"k": "v"}, values)
	assert.Equal(t, "end", l.tail[len(l.tail)-1])
}

func TestFinishGivesUpWhereAskingAgainIsUseless(t *testing.T) {
	gone := apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "x")
	l := newLogReader(func(context.Context, bool) (io.ReadCloser, error) { return nil, gone }, clocktesting.NewFakeClock(time.Time{}), func(string) {})
	require.ErrorIs(t, l.finish(t.Context()), gone)
}

func refuse(t *testing.T, w http.ResponseWriter, err *apierrors.StatusError) {
	t.Helper()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	status := err.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	assert.NoError(t, json.NewEncoder(w).Encode(status))
}

// A kubelet that has just been started does not know its pods for a moment, and the
// API server passes its 404 on as it is.
func TestFinishAsksAgainWhileTheKubeletDoesNotKnowThePod(t *testing.T) {
	for name, c := range map[string]struct {
		refuse func(http.ResponseWriter)
		reads  bool
	}{
		"the kubelet does not know it": {func(w http.ResponseWriter) { http.Error(w, `pod "chaos/x" not found`, http.StatusNotFound) }, true},
		"the kubelet does not know it, in the API server's words": {func(w http.ResponseWriter) {
			refuse(t, w, apierrors.NewGenericServerResponse(http.StatusNotFound, "", schema.GroupResource{Resource: "pods/log"}, "x", "", 0, false))
		}, true},
		"the API server does not know it": {func(w http.ResponseWriter) {
			refuse(t, w, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "x"))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked++; asked == 1 {
					c.refuse(w)
					return
				}
				_, _ = w.Write([]byte("the end\n")) // the reader went away
			}))
			defer server.Close()
			client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
			require.NoError(t, err)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "x"}}
			l := newLogReader(openLog(client, pod, "container"), clock.RealClock{}, func(string) {})
			err = l.finish(t.Context())
			if !c.reads {
				require.True(t, apierrors.IsNotFound(err), "%v", err)
				assert.Equal(t, 1, asked)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, []string{"the end"}, l.tail)
		})
	}
}

func TestFinishAsksAgainForALimitedTime(t *testing.T) {
	fake := clocktesting.NewFakeClock(time.Unix(0, 0))
	opened := 0
	l := newLogReader(func(context.Context, bool) (io.ReadCloser, error) { opened++; return nil, errCut }, fake, func(string) {})
	done := make(chan error, 1)
	go func() { done <- l.finish(t.Context()) }()
	for {
		select {
		case err := <-done:
			require.ErrorIs(t, err, errCut)
			assert.Greater(t, opened, 5)
			return
		default:
			if fake.HasWaiters() {
				fake.Step(11 * time.Second)
			}
		}
	}
}
