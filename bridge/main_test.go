package bridge_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/salvor-io/salvor/internal/kubetest"
)

// server is the API server that the tests of this package share; each test has
// a namespace, and a bridge that watches it, of its own.
var server *kubetest.Server

func TestMain(m *testing.M) {
	os.Exit(kubetest.Run(m, func(s *kubetest.Server) error {
		server = s
		return s.ApplyCRDs(context.Background(), crds)
	}))
}

// crds is where the generated CRDs are.
const crds = "../deploy/chart/files/crds"

// oldServer is an API server whose ActionSets are as Kanister's own CRD has them:
// without a status subresource and selectable fields, with a schema that demands
// nothing and knows nothing of conditions.
func oldServer(t *testing.T) *kubetest.Server {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(filepath.Join(crds, "*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		var crd apiextensionsv1.CustomResourceDefinition
		require.NoError(t, yaml.Unmarshal(content, &crd))
		if crd.Spec.Names.Plural == "actionsets" {
			for i := range crd.Spec.Versions {
				crd.Spec.Versions[i].Subresources, crd.Spec.Versions[i].SelectableFields = nil, nil
				schema := undemanding(*crd.Spec.Versions[i].Schema.OpenAPIV3Schema)
				delete(schema.Properties["status"].Properties, "conditions")
				crd.Spec.Versions[i].Schema.OpenAPIV3Schema = &schema
			}
		}
		content, err = yaml.Marshal(crd)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), content, 0o600))
	}
	old := kubetest.Start(t)
	old.InstallCRDs(t, dir)
	return old
}

// undemanding is a schema that refuses no value of the right type.
func undemanding(s apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
	s.Required, s.Enum, s.XValidations, s.Pattern = nil, nil, nil, ""
	s.MinLength, s.MaxLength, s.MinItems, s.MaxItems = nil, nil, nil, nil
	for name, property := range s.Properties {
		s.Properties[name] = undemanding(property)
	}
	if s.Items != nil && s.Items.Schema != nil {
		*s.Items.Schema = undemanding(*s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		*s.AdditionalProperties.Schema = undemanding(*s.AdditionalProperties.Schema)
	}
	return s
}
