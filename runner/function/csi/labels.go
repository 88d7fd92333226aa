package csi

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

var forbidden = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

// edges are characters that a label must not begin or end with.
const edges = "_.-"

// tidy makes labels out of what blueprints give, often a name or a time: Kanister
// takes those that are none, too.
func tidy(labels map[string]string) map[string]string {
	tidied := make(map[string]string, len(labels))
	for key, value := range labels {
		if len(validation.IsQualifiedName(key)) > 0 {
			key = part(key)
		}
		if len(validation.IsValidLabelValue(value)) > 0 {
			value = part(value)
		}
		if key != "" {
			tidied[key] = value
		}
	}
	return tidied
}

func part(text string) string {
	text = strings.Trim(forbidden.ReplaceAllString(text, "-"), edges)
	return strings.TrimRight(text[:min(len(text), validation.LabelValueMaxLength)], edges)
}
