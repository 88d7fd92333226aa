package functiontest

import (
	"testing"

	"github.com/rs/zerolog"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/utils/clock"

	"github.com/salvor-io/salvor/api/event"
	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	"github.com/salvor-io/salvor/internal/blueprint"
	"github.com/salvor-io/salvor/internal/kube"
	"github.com/salvor-io/salvor/runner/function"
)

// Phase is one phase to call.
type Phase struct {
	// Func is the name of the function.
	Func string
	// Args as in a blueprint.
	Args map[string]any
	// Objects as in a blueprint.
	Objects map[string]kanister.ObjectReference
	// Object of the action.
	Object kanister.ObjectReference
	// Outputs of earlier phases, by name.
	Outputs map[string]map[string]any
	// Options of the ActionSet.
	Options map[string]string
	// Params changes the other parameters of the action, if not nil.
	Params func(*blueprint.Params)
}

// NewCall returns a call of a phase, with a key of its own and rendered arguments.
func NewCall(tb testing.TB, clients *kube.Clients, p Phase) *function.Call {
	tb.Helper()
	call := &function.Call{
		Key:       event.Key{UID: string(uuid.NewUUID()), Namespace: "tenant", Kind: event.KindCore, Attempt: 1},
		ActionSet: "test", Action: "act", Phase: "phase",
		Values:   values(tb, clients, p),
		Kube:     clients,
		Clock:    clock.RealClock{},
		Log:      zerolog.New(zerolog.NewTestWriter(tb)),
		Progress: func(kanister.PhaseProgress) {},
	}
	args, err := call.Values.Args()
	if err != nil {
		tb.Fatalf("render the arguments: %v", err)
	}
	call.Args = args
	return call
}

func values(tb testing.TB, clients *kube.Clients, p Phase) *blueprint.Values {
	tb.Helper()
	bp := &kanister.Blueprint{Actions: map[string]*kanister.BlueprintAction{}}
	action := &kanister.BlueprintAction{}
	for name := range p.Outputs {
		action.Phases = append(action.Phases, kanister.BlueprintPhase{Func: "KubeTask", Name: name})
	}
	action.Phases = append(action.Phases, kanister.BlueprintPhase{Func: p.Func, Name: "phase", ObjectRefs: p.Objects, Args: p.Args})
	bp.Actions["act"] = action
	params := &blueprint.Params{
		Version: blueprint.ParamsVersion, Namespace: "tenant", Time: "2026-01-02T03:04:05.678Z",
		ObjectRef: p.Object, Options: p.Options,
	}
	if p.Params != nil {
		p.Params(params)
	}
	v, err := blueprint.Load(tb.Context(), blueprint.Cluster{Clients: clients}, blueprint.Scope{
		Params:    params,
		Blueprint: bp, Action: "act", Kind: event.KindCore, Phase: len(p.Outputs), Outputs: p.Outputs,
	})
	if err != nil {
		tb.Fatalf("load the template values: %v", err)
	}
	return v
}
