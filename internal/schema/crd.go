package schema

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// folders, from the root of the module.
const (
	crdFolder    = "deploy/chart/files/crds"
	schemaFolder = "internal/schema/crds"
)

// Generate turns the CRDs below root, that of the module, into the files of this
// package; it returns their content by their paths from there.
func Generate(root string) (map[string][]byte, error) {
	paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(crdFolder), "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list the CRDs: %w", err)
	}
	files := map[string][]byte{}
	for _, file := range paths {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read a CRD: %w", err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		content, err := convert(&crd)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		files[path.Join(schemaFolder, crd.Spec.Names.Singular+".json")] = content
	}
	return files, nil
}

// convert makes a JSON Schema of the schema of a CRD.
func convert(crd *apiextensionsv1.CustomResourceDefinition) ([]byte, error) {
	version := crd.Spec.Versions[0]
	text, err := json.Marshal(version.Schema.OpenAPIV3Schema)
	if err != nil {
		return nil, fmt.Errorf("encode the schema: %w", err)
	}
	var root node
	if err := json.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("decode the schema: %w", err)
	}
	plain(root)
	fields, err := below(root, properties)
	if err != nil {
		return nil, err
	}
	fields["apiVersion"] = node{"const": crd.Spec.Group + "/" + version.Name}
	fields["kind"] = node{"const": crd.Spec.Names.Kind}
	names, _ := root[required].([]any)
	root[required] = append([]any{"apiVersion", "kind", "metadata"}, names...)
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the schema: %w", err)
	}
	return append(out, '\n'), nil
}

// plain takes out what only Kubernetes knows, and closes objects whose fields are all
// known.
func plain(n node) {
	_, free := n["x-kubernetes-preserve-unknown-fields"]
	for key := range n {
		if strings.HasPrefix(key, "x-kubernetes-") {
			delete(n, key)
		}
	}
	if n["nullable"] == true {
		if t, ok := n["type"].(string); ok {
			n["type"] = []string{t, "null"}
		}
	}
	delete(n, "nullable")
	if text, ok := n[description].(string); ok {
		n[description] = strings.Join(strings.Fields(text), " ")
	}
	if fields, ok := n[properties].(node); ok {
		if _, open := n["additionalProperties"]; !open && !free {
			n["additionalProperties"] = false
		}
		for _, field := range fields {
			if child, ok := field.(node); ok {
				plain(child)
			}
		}
	}
	for _, key := range []string{"additionalProperties", "items"} {
		if child, ok := n[key].(node); ok {
			plain(child)
		}
	}
}
