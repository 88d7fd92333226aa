package actionset

import (
	"encoding/csv"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	kanister "github.com/salvor-io/salvor/api/kanister/v1alpha1"
)

// word is what names are made of.
const word = `[A-Za-z0-9_.-]+`

var (
	pair      = regexp.MustCompile(`^(` + word + `)/(` + word + `)$`)
	reference = regexp.MustCompile(`^(` + word + `)=(` + word + `)/(` + word + `)$`)
	generic   = regexp.MustCompile(`^(?:([A-Za-z0-9_.-]*)/)?(v[0-9][a-z0-9]*)/(` + word + `)/(` + word + `)/(` + word + `)$`)
	// nextOption is a comma after which another option begins.
	nextOption = regexp.MustCompile(`,\s*[A-Za-z0-9_./-]+\s*=`)
)

// parsePair reads namespace/name.
func parsePair(flag, text string) (namespace, name string, err error) {
	m := pair.FindStringSubmatch(text)
	if m == nil {
		return "", "", fmt.Errorf("--%s: %q is not namespace/name", flag, text)
	}
	return m[1], m[2], nil
}

// parseReferences reads ref=namespace/name.
func parseReferences(flag string, texts []string) (map[string]kanister.ObjectReference, error) {
	var refs map[string]kanister.ObjectReference
	for _, text := range texts {
		if text == "" {
			continue
		}
		m := reference.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("--%s: %q is not ref=namespace/name", flag, text)
		}
		object := kanister.ObjectReference{Namespace: m[2], Name: m[3]}
		if old, ok := refs[m[1]]; ok && old != object {
			return nil, fmt.Errorf("--%s: %s is given twice, as %s/%s and as %s/%s", flag, m[1], old.Namespace, old.Name, m[2], m[3])
		}
		if refs == nil {
			refs = map[string]kanister.ObjectReference{}
		}
		refs[m[1]] = object
	}
	return refs, nil
}

// parseProfile reads name or namespace/name.
func parseProfile(text, namespace string) (*kanister.ObjectReference, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no profile is a normal case
	}
	if !strings.Contains(text, "/") {
		return &kanister.ObjectReference{Name: text, Namespace: namespace}, nil
	}
	ns, name, err := parsePair("profile", text)
	if err != nil {
		return nil, fmt.Errorf("--profile: %q is neither name nor namespace/name", text)
	}
	return &kanister.ObjectReference{Name: name, Namespace: ns}, nil
}

// parseGeneric reads group/version/resource/namespace/name; the core group may
// be left out.
func parseGeneric(text string) (kanister.ObjectReference, error) {
	m := generic.FindStringSubmatch(text)
	if m == nil {
		return kanister.ObjectReference{}, fmt.Errorf("--objects: %q is neither group/version/resource/namespace/name nor, "+
			"for the core group, version/resource/namespace/name", text)
	}
	return kanister.ObjectReference{Group: m[1], APIVersion: m[2], Resource: m[3], Namespace: m[4], Name: m[5]}, nil
}

// parseOptions reads --options and --option; the latter wins.
func parseOptions(lists, single []string) (map[string]string, error) {
	options := map[string]string{}
	for _, list := range lists {
		for _, text := range splitOptions(list) {
			if strings.TrimSpace(text) == "" {
				continue
			}
			if err := addOption(options, "options", text); err != nil {
				return nil, err
			}
		}
	}
	for _, text := range single {
		if err := addOption(options, "option", text); err != nil {
			return nil, err
		}
	}
	if len(options) == 0 {
		return nil, nil
	}
	return options, nil
}

func addOption(options map[string]string, flag, text string) error {
	if text == "" {
		return nil
	}
	key, value, ok := strings.Cut(text, "=")
	key = strings.TrimSpace(key)
	if !ok || key == "" {
		return fmt.Errorf("--%s: %q is not key=value", flag, text)
	}
	options[key] = value
	return nil
}

// splitOptions cuts kanctl's comma form: as CSV where it is quoted as CSV, else
// at each comma after which a key and "=" follow.
func splitOptions(list string) []string {
	if strings.Contains(list, `"`) {
		fields, err := csv.NewReader(strings.NewReader(list)).Read()
		if err == nil && allPairs(fields) {
			return fields
		}
	}
	var parts []string
	start := 0
	for _, at := range nextOption.FindAllStringIndex(list, -1) {
		parts = append(parts, list[start:at[0]])
		start = at[0] + 1
	}
	return append(parts, list[start:])
}

func allPairs(fields []string) bool {
	for _, field := range fields {
		if !strings.Contains(field, "=") {
			return false
		}
	}
	return true
}

// parseLabels reads key=value,… and checks what the API server would refuse.
func parseLabels(flag, text string, annotations bool) (map[string]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	labels := map[string]string{}
	for item := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(item, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" {
			return nil, fmt.Errorf("--%s: %q is not key=value", flag, strings.TrimSpace(item))
		}
		if problems := validation.IsQualifiedName(key); len(problems) > 0 {
			return nil, fmt.Errorf("--%s: the key %q is not valid: %s", flag, key, problems[0])
		}
		if problems := validation.IsValidLabelValue(value); len(problems) > 0 && !annotations {
			return nil, fmt.Errorf("--%s: the value %q of %s is not valid: %s", flag, value, key, problems[0])
		}
		labels[key] = value
	}
	return labels, nil
}

// mergeOptions returns base with override on top.
func mergeOptions(base, override map[string]string) map[string]string {
	if len(base)+len(override) == 0 {
		return nil
	}
	merged := map[string]string{}
	maps.Copy(merged, base)
	maps.Copy(merged, override)
	return merged
}
