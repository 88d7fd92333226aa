package kube

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/kubernetes"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
	salvor "github.com/salvor-io/salvor/api/salvor/v1alpha1"
)

// Typed clients for the custom resources.
type (
	// ActionSets reads and writes ActionSets of one namespace.
	ActionSets = gentype.ClientWithList[*kanister.ActionSet, *kanister.ActionSetList]
	// Blueprints reads and writes Blueprints of one namespace.
	Blueprints = gentype.ClientWithList[*kanister.Blueprint, *kanister.BlueprintList]
	// Profiles reads and writes Profiles of one namespace.
	Profiles = gentype.ClientWithList[*kanister.Profile, *kanister.ProfileList]
	// ActionTriggers reads and writes ActionTriggers of one namespace.
	ActionTriggers = gentype.ClientWithList[*salvor.ActionTrigger, *salvor.ActionTriggerList]
)

// Clients is the set of clients of one process.
type Clients struct {
	// Config made them; exec needs it.
	Config  *rest.Config
	Kube    kubernetes.Interface
	Dynamic dynamic.Interface
	// Mapper finds the resource of a kind; it forgets what it knows when it
	// meets a kind that it does not.
	Mapper meta.RESTMapper
	// Scheme knows the built-in kinds and ours, for event recorders.
	Scheme *runtime.Scheme

	kanister rest.Interface
	salvor   rest.Interface
}

// New makes the clients. The configuration's QPS and Burst are kept when set;
// 200 and 400 otherwise, because client-go's own 5 and 10 would hold up a fleet.
func New(config *rest.Config) (*Clients, error) {
	config = rest.CopyConfig(config)
	if config.QPS == 0 {
		config.QPS, config.Burst = 200, 400
	}
	if config.UserAgent == "" {
		config.UserAgent = "salvor"
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientscheme.AddToScheme(scheme), kanister.AddToScheme(scheme), salvor.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("register types: %w", err)
	}
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubernetes client: %w", err)
	}
	untyped, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("dynamic client: %w", err)
	}
	kanisterREST, err := restFor(config, scheme, kanister.GroupVersion)
	if err != nil {
		return nil, err
	}
	salvorREST, err := restFor(config, scheme, salvor.GroupVersion)
	if err != nil {
		return nil, err
	}
	return &Clients{
		Config:   config,
		Kube:     typed,
		Dynamic:  untyped,
		Mapper:   newMapper(typed.Discovery()),
		Scheme:   scheme,
		kanister: kanisterREST,
		salvor:   salvorREST,
	}, nil
}

func restFor(config *rest.Config, scheme *runtime.Scheme, gv schema.GroupVersion) (rest.Interface, error) {
	config = rest.CopyConfig(config)
	config.GroupVersion = &gv
	config.APIPath = "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("client for %s: %w", gv, err)
	}
	return client, nil
}

// ActionSets returns the client for a namespace; "" lists and watches all.
func (c *Clients) ActionSets(namespace string) *ActionSets {
	return gentype.NewClientWithList(kanister.ActionSets.Resource, c.kanister, runtime.NewParameterCodec(c.Scheme), namespace,
		func() *kanister.ActionSet { return &kanister.ActionSet{} },
		func() *kanister.ActionSetList { return &kanister.ActionSetList{} })
}

// Blueprints returns the client for a namespace; "" lists and watches all.
func (c *Clients) Blueprints(namespace string) *Blueprints {
	return gentype.NewClientWithList(kanister.Blueprints.Resource, c.kanister, runtime.NewParameterCodec(c.Scheme), namespace,
		func() *kanister.Blueprint { return &kanister.Blueprint{} },
		func() *kanister.BlueprintList { return &kanister.BlueprintList{} })
}

// Profiles returns the client for a namespace; "" lists and watches all.
func (c *Clients) Profiles(namespace string) *Profiles {
	return gentype.NewClientWithList(kanister.Profiles.Resource, c.kanister, runtime.NewParameterCodec(c.Scheme), namespace,
		func() *kanister.Profile { return &kanister.Profile{} },
		func() *kanister.ProfileList { return &kanister.ProfileList{} })
}

// ActionTriggers returns the client for a namespace; "" lists and watches all.
func (c *Clients) ActionTriggers(namespace string) *ActionTriggers {
	return gentype.NewClientWithList(salvor.ActionTriggers.Resource, c.salvor, runtime.NewParameterCodec(c.Scheme), namespace,
		func() *salvor.ActionTrigger { return &salvor.ActionTrigger{} },
		func() *salvor.ActionTriggerList { return &salvor.ActionTriggerList{} })
}
