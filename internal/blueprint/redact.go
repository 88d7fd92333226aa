package blueprint

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// shortest is the length in bytes below which a value is not taken out of texts:
// it would tear them to pieces and protect nothing.
const shortest = 4

// hidden stands where a secret value stood.
const hidden = "***"

// redactor takes secret values out of texts.
type redactor struct {
	// values in all the forms they are likely to be printed in, longest first.
	values []string
}

func newRedactor(secrets map[SecretRef]*corev1.Secret) *redactor {
	forms := map[string]struct{}{}
	for _, secret := range secrets {
		for _, value := range secret.Data {
			addForms(forms, string(value))
		}
	}
	r := &redactor{}
	for form := range forms {
		r.values = append(r.values, form)
	}
	slices.SortFunc(r.values, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	return r
}

// addForms adds a value, its lines, and what they look like encoded. A value that
// is base64 itself is decoded too, since blueprints do that.
func addForms(forms map[string]struct{}, value string) {
	add := func(form string) {
		if len(form) >= shortest {
			forms[form] = struct{}{}
		}
	}
	plain := []string{value, strings.TrimSpace(value)}
	if decoded, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value)); err == nil {
		plain = append(plain, string(decoded))
	}
	for _, text := range plain {
		if len(text) < shortest {
			continue
		}
		add(text)
		add(base64.StdEncoding.EncodeToString([]byte(text)))
		add(base64.URLEncoding.EncodeToString([]byte(text)))
		add(base64.RawStdEncoding.EncodeToString([]byte(text)))
		add(url.QueryEscape(text))
		add(url.PathEscape(text))
		add(inner(strconv.Quote(text)))
		if escaped, err := json.Marshal(text); err == nil {
			add(inner(string(escaped)))
		}
		if strings.Contains(text, "\n") {
			for line := range strings.Lines(text) {
				add(strings.TrimSpace(line))
			}
		}
	}
}

// inner takes the quotes off.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// redact replaces every stretch of text that secret values cover. Values may
// overlap, so places are found first and replaced together.
func (r *redactor) redact(text string) string {
	type span struct{ from, to int }
	var found []span
	for _, value := range r.values {
		for from := 0; from+len(value) <= len(text); {
			i := strings.Index(text[from:], value)
			if i < 0 {
				break
			}
			at := from + i
			found = append(found, span{at, at + len(value)})
			from = at + 1
		}
	}
	if len(found) == 0 {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var out strings.Builder
	end := 0
	for _, s := range found {
		if s.from >= end {
			out.WriteString(text[end:s.from])
			out.WriteString(hidden)
		}
		end = max(end, s.to)
	}
	out.WriteString(text[end:])
	return out.String()
}

// holds reports whether the text has a secret value in it.
func (r *redactor) holds(text string) bool {
	return slices.ContainsFunc(r.values, func(value string) bool { return strings.Contains(text, value) })
}

// Lengths in bytes from which a secret value in an output is taken for one. A
// shorter one may be there by chance: a user name that is also a directory.
const (
	tellingWhole = 8
	tellingPart  = 16
)

// tells reports whether the text gives a secret value away: it is one, or has a
// long one in it.
func (r *redactor) tells(text string) bool {
	text = strings.TrimSpace(text)
	return slices.ContainsFunc(r.values, func(value string) bool {
		return len(value) >= tellingPart && strings.Contains(text, value) || len(value) >= tellingWhole && text == value
	})
}
