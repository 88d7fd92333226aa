package retention

import (
	"crypto/sha256"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
	"github.com/salvor-io/salvor/bridge/status"
)

// state is as much of an ActionSet's as retention tells apart.
type state int

const (
	// open: it has not ended, or is about to go on.
	open state = iota
	good
	bad
)

// mark stands for the content of an artifact: what has the same content is the same
// data, whatever it is called and whoever made it.
type mark [16]byte

// seen is what a look keeps of an ActionSet: little, since there may be many.
type seen struct {
	name, uid, version string
	// trigger is the UID of the trigger that made it, or that it removes data for.
	trigger string
	// key is the hash of the trigger's key that it was made for.
	key string
	// at is when it was made, ended when it is said to have ended.
	at, ended time.Time
	state     state
	// going: it was deleted and a finalizer holds it.
	going bool
	// marks of the artifacts that it left.
	marks []mark
	// failure in words.
	failure string

	// What only one that prunes has: the ActionSet whose data it removes, and how many
	// were made for that, it included.
	of, ofUID string
	attempt   int
	// action that it runs.
	action string
}

func look(as *kanister.ActionSet) seen {
	s := seen{
		name: as.Name, uid: string(as.UID), version: as.ResourceVersion,
		trigger: as.Annotations[salvor.AnnotationTriggerUID], key: as.Labels[salvor.LabelTriggerKey],
		at: as.CreationTimestamp.Time, ended: as.CreationTimestamp.Time, going: as.DeletionTimestamp != nil,
	}
	if name, uid, ok := strings.Cut(as.Annotations[salvor.AnnotationPrunes], "/"); ok && as.Labels[salvor.LabelPrunes] != "" {
		s.of, s.ofUID = name, uid
		s.attempt, _ = strconv.Atoi(as.Annotations[salvor.AnnotationPruneAttempt]) // 0 is the lowest
		if as.Spec != nil && len(as.Spec.Actions) > 0 {
			s.action = as.Spec.Actions[0].Name
		}
	}
	if as.Status == nil {
		return s
	}
	s.state = stateOf(as)
	if at := as.Status.Progress.LastTransitionTime; at != nil && at.After(s.ended) {
		s.ended = at.Time
	}
	s.failure = as.Status.Error.Message
	for i := range as.Status.Actions {
		s.marks = append(s.marks, marksOf(as.Status.Actions[i].Artifacts)...)
	}
	return s
}

func stateOf(as *kanister.ActionSet) state {
	switch as.Status.State {
	case kanister.StateComplete:
		return good
	case kanister.StateFailed:
		if asksForRetry(as) {
			return open
		}
		return bad
	case kanister.StatePending, kanister.StateRunning:
		return open
	}
	return open
}

// asksForRetry reports whether the ActionSet is about to go on: it asks for that and
// has not been answered.
func asksForRetry(as *kanister.ActionSet) bool {
	token := as.Labels[salvor.LabelRetry]
	if token == "" {
		return false
	}
	_, answered := status.Answered(as.Status, token)
	return !answered
}

func marksOf(artifacts map[string]kanister.Artifact) []mark {
	var marks []mark
	for _, a := range artifacts {
		if len(a.KeyValue) == 0 && a.KopiaSnapshot == "" {
			continue // it stands for nothing
		}
		text, err := json.Marshal(a)
		if err != nil {
			continue // strings can be encoded
		}
		sum := sha256.Sum256(text)
		marks = append(marks, mark(sum[:16]))
	}
	return marks
}

// preconditions hold for the ActionSet as it was seen only.
func (s *seen) preconditions() metav1.DeleteOptions {
	uid := types.UID(s.uid)
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &s.version}}
}
