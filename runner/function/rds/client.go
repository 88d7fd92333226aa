package rds

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/runner/function"
	"github.com/salvor-io/salvor/runner/internal/again"
)

const (
	// requestAttempts is how often the SDK makes a request that is throttled, or meets
	// a fault of the network, as Kanister's does.
	requestAttempts = 10
	// tagMade is on what a phase makes, and names the phase.
	tagMade = "salvor.io/made-by"
	// tagActionSet is for people.
	tagActionSet = "salvor.io/actionset"
	// maxInstanceID is the longest name of an instance.
	maxInstanceID = 63
)

// client is one call and how it asks AWS.
type client struct {
	call *function.Call
	api  *rds.Client
}

func open(ctx context.Context, call *function.Call, c *credentials) (*client, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	cfg, err := c.config(ctx, call)
	if err != nil {
		return nil, err
	}
	return &client{call: call, api: rds.NewFromConfig(cfg, func(o *rds.Options) {
		o.Retryer = retry.AddWithMaxAttempts(retry.NewStandard(), requestAttempts)
		if call.RDSEndpoint != "" {
			o.BaseEndpoint = &call.RDSEndpoint
		}
	})}, nil
}

// phase names the phase, whatever the attempt.
func (s *client) phase() string {
	k := s.call.Key
	return fmt.Sprintf("%s/%d/%s-%d", k.UID, k.Action, k.Kind, k.Phase)
}

// suffix is the end of the names of what the phase makes.
func (s *client) suffix() string {
	sum := sha256.Sum256([]byte(s.phase()))
	return hex.EncodeToString(sum[:])[:10]
}

// named is an id that derives from another one and the phase.
func (s *client) named(id string) string {
	end := "-" + s.suffix()
	if limit := maxInstanceID - len(end); len(id) > limit {
		id = strings.TrimRight(id[:limit], "-")
	}
	return id + end
}

func (s *client) tags() []types.Tag {
	return []types.Tag{
		{Key: aws.String(tagMade), Value: aws.String(s.phase())},
		{Key: aws.String(tagActionSet), Value: aws.String(s.call.Key.Namespace + "/" + s.call.ActionSet)},
	}
}

// made tells whether the phase made what has these tags.
func (s *client) made(tags []types.Tag) bool {
	for _, t := range tags {
		if aws.ToString(t.Key) == tagMade {
			return aws.ToString(t.Value) == s.phase()
		}
	}
	return false
}

// fail says in words what was being done, and gives the error a reason.
func (s *client) fail(ctx context.Context, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	wrapped := fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
	if known, ok := errors.AsType[*function.Error](err); ok {
		return &function.Error{Reason: known.Reason, Err: wrapped}
	}
	reason := event.ReasonFailed
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		reason = reasonOf(api.ErrorCode())
	}
	return &function.Error{Reason: reason, Err: wrapped}
}

func reasonOf(code string) event.Reason {
	switch {
	case strings.Contains(code, "NotFound"):
		return event.ReasonNotFound
	case strings.Contains(code, "AccessDenied"), code == "UnauthorizedOperation", code == "InvalidClientTokenId", code == "SignatureDoesNotMatch",
		code == "ExpiredToken", code == "UnrecognizedClientException":
		return event.ReasonForbidden
	case strings.HasPrefix(code, "InvalidParameter"), code == "ValidationError":
		return event.ReasonInvalid
	}
	return event.ReasonFailed
}

// has tells whether an error is that of the code, with "Fault" behind it or not.
func has(err error, code string) bool {
	api, ok := errors.AsType[smithy.APIError](err)
	return ok && strings.TrimSuffix(api.ErrorCode(), "Fault") == code
}

// passing tells whether asking later may help.
func passing(err error) bool {
	_, isAPI := errors.AsType[smithy.APIError](err)
	return !isAPI || retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(err).Bool() ||
		retry.IsErrorThrottles(retry.DefaultThrottles).IsErrorThrottle(err).Bool()
}

var errNotYet = errors.New("not yet")

// awayLimit is how long AWS may not answer: longer, and the region or the endpoint is
// one that does not exist, or there is no identity to ask with.
const awayLimit = 15 * time.Minute

// await asks until the answer is yes, or an error that asking again does not mend.
func (s *client) await(ctx context.Context, ask func(context.Context) (bool, error)) error {
	var away time.Time // since when there is no answer
	return again.Do(ctx, again.Policy{
		Clock: s.call.Clock,
		If: func(err error) bool {
			if errors.Is(err, errNotYet) {
				away = time.Time{}
				return true
			}
			if _, known := errors.AsType[*function.Error](err); known || !passing(err) {
				return false
			}
			if away.IsZero() {
				away = s.call.Clock.Now()
			}
			return s.call.Clock.Since(away) < awayLimit
		},
		Failed: func(err error) {
			if !errors.Is(err, errNotYet) {
				s.call.Log.Warn().Err(err).Msg("AWS does not answer; asking again")
			}
		},
	}, func(ctx context.Context) error {
		done, err := ask(ctx)
		if err == nil && !done {
			return errNotYet
		}
		return err
	})
}

// state tells a status that is final from one that is passed through.
func state(what, id, status string) (ready bool, err error) {
	switch {
	case status == statusAvailable:
		return true, nil
	case status == "failed", status == "restore-error", status == statusDeleting, status == "insufficient-capacity",
		strings.HasPrefix(status, "incompatible-"), strings.HasPrefix(status, "inaccessible-encryption-credentials"):
		return false, function.Errorf(event.ReasonFailed, "%s %s is %s; the console of AWS says why", what, id, status)
	}
	return false, nil
}

const (
	statusAvailable = "available"
	statusDeleting  = "deleting"
)

// progress tells how far a snapshot is.
func (s *client) progress(percent *int32) {
	if percent != nil && s.call.Progress != nil {
		s.call.Progress(kanister.PhaseProgress{PercentCompleted: strconv.Itoa(int(min(*percent, 99)))})
	}
}

// isAurora tells whether the engine is one of clusters.
func isAurora(engine string) bool { return strings.HasPrefix(strings.ToLower(engine), "aurora") }

// yamlList reads a list, or text that holds one as YAML; nil means that there is none.
func yamlList(name string, value any) ([]string, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case []string:
		return v, nil
	case []any:
		list := make([]string, 0, len(v))
		for _, entry := range v {
			list = append(list, fmt.Sprint(entry))
		}
		return list, nil
	case string:
		var list []string
		if err := yaml.Unmarshal([]byte(v), &list); err != nil {
			return nil, function.Errorf(event.ReasonInvalid, "argument %s must be a list, or text that holds a list as YAML, such as \"- a\"", name)
		}
		return list, nil
	}
	return nil, function.Errorf(event.ReasonInvalid, "argument %s must be a list, or text that holds a list as YAML, such as \"- a\"", name)
}

func toYAML(list []string) (string, error) {
	if list == nil {
		list = []string{}
	}
	text, err := yaml.Marshal(list)
	return string(text), err
}

// empty refuses names that are given but hold nothing.
func empty(args map[string]string) error {
	for name, value := range args {
		if strings.TrimSpace(value) == "" {
			return function.Errorf(event.ReasonInvalid, "argument %s is empty", name)
		}
	}
	return nil
}
