package actionset

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// Kinds of objects, as Kanister writes them in an ActionSet.
const (
	kindAll              = "all"
	kindDeployment       = "deployment"
	kindStatefulSet      = "statefulset"
	kindDeploymentConfig = "deploymentconfig"
	kindPVC              = "pvc"
	kindNamespace        = "namespace"
)

// Request is what the user asks for, parsed and checked.
type Request struct {
	Namespace, Action, Name, From, Blueprint string

	Objects                             []kanister.ObjectReference
	Options                             map[string]string
	Profile                             *kanister.ObjectReference
	Secrets, ConfigMaps                 map[string]kanister.ObjectReference
	Labels, PodLabels, PodAnnotations   map[string]string
	Selector, SelectKind, SelectorSpace string
}

// Parse checks the flags against each other and reads them. It needs no
// cluster; namespace is the new ActionSet's.
func (f *Flags) Parse(namespace string) (*Request, error) {
	if f.RepositoryServer != "" || f.WaitForRepositoryServer {
		return nil, errors.New("--repository-server is not supported: Salvor has no RepositoryServer; use --profile")
	}
	r := &Request{
		Namespace: namespace, Action: f.Action, Name: f.Name, From: f.From, Blueprint: f.Blueprint,
		Selector: f.Selector, SelectKind: f.Kind, SelectorSpace: f.SelectorNamespace,
	}
	for _, step := range []func(*Request) error{f.parseNames, f.parseMaps, f.parseObjects, f.parseSelector} {
		if err := step(r); err != nil {
			return nil, err
		}
	}
	if r.From == "" && len(r.Objects) == 0 && r.Selector == "" {
		return nil, errors.New("nothing to work on: give an object (--statefulset, --deployment, --pvc, --namespacetargets, --objects), a --selector, or a complete ActionSet with --from")
	}
	return r, nil
}

func (f *Flags) parseNames(*Request) error {
	if f.From == "" && f.Action == "" {
		return errors.New("--action is required unless --from is given")
	}
	if f.From == "" && f.Blueprint == "" {
		return errors.New("--blueprint is required unless --from is given")
	}
	if f.Name != "" {
		if problems := validation.IsDNS1123Subdomain(f.Name); len(problems) > 0 {
			return fmt.Errorf("--name: %q is not a valid name: %s", f.Name, problems[0])
		}
	}
	return nil
}

func (f *Flags) parseMaps(r *Request) error {
	var err error
	if r.Profile, err = parseProfile(f.Profile, r.Namespace); err != nil {
		return err
	}
	if r.Secrets, err = parseReferences("secrets", f.Secrets); err != nil {
		return err
	}
	if r.ConfigMaps, err = parseReferences("config-maps", f.ConfigMaps); err != nil {
		return err
	}
	if r.Options, err = parseOptions(f.Options, f.Option); err != nil {
		return err
	}
	if r.Labels, err = parseLabels("labels", f.Labels, false); err != nil {
		return err
	}
	if r.PodLabels, err = parseLabels("podlabels", f.PodLabels, false); err != nil {
		return err
	}
	r.PodAnnotations, err = parseLabels("podannotations", f.PodAnnotations, true)
	return err
}

func (f *Flags) parseObjects(r *Request) error {
	for _, group := range []struct {
		flag, kind string
		texts      []string
	}{
		{"deployment", kindDeployment, f.Deployments},
		{"statefulset", kindStatefulSet, f.StatefulSets},
		{"deploymentconfig", kindDeploymentConfig, f.DeploymentConfigs},
		{"pvc", kindPVC, f.PVCs},
	} {
		for _, text := range group.texts {
			namespace, name, err := parsePair(group.flag, text)
			if err != nil {
				return err
			}
			r.add(kanister.ObjectReference{Kind: group.kind, Namespace: namespace, Name: name})
		}
	}
	for _, name := range f.NamespaceTargets {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return fmt.Errorf("--namespacetargets: %q is not the name of a namespace: %s", name, problems[0])
		}
		r.add(kanister.ObjectReference{Kind: kindNamespace, Namespace: name, Name: name})
	}
	for _, text := range f.Objects {
		object, err := parseGeneric(text)
		if err != nil {
			return err
		}
		r.add(object)
	}
	return nil
}

func (f *Flags) parseSelector(*Request) error {
	switch f.Kind {
	case kindAll, kindDeployment, kindStatefulSet, kindDeploymentConfig, kindPVC, kindNamespace:
	default:
		return fmt.Errorf("--kind: %q is not one of all, deployment, deploymentconfig, statefulset, pvc, namespace", f.Kind)
	}
	if f.Selector == "" {
		return nil
	}
	if _, err := labels.Parse(f.Selector); err != nil {
		return fmt.Errorf("--selector: %w", err)
	}
	return nil
}

// add keeps each object once.
func (r *Request) add(object kanister.ObjectReference) {
	if !slices.Contains(r.Objects, object) {
		r.Objects = append(r.Objects, object)
	}
}
