// Package manifest reads what people write by hand: files with several YAML or JSON
// documents, of which it knows where everything stands.
//
// Two parsers read each document. What a value is tells sigs.k8s.io/yaml, because it is
// what kubectl uses (YAML 1.1: `on` is true). Where it stands tells the tree of nodes of
// go.yaml.in/yaml, which has lines and columns. Each document is parsed by itself, so
// that a mistake in one does not hide those of the next.
package manifest
