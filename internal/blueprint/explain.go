package blueprint

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

var (
	// what text/template says, in parts: line, node, message.
	execError   = regexp.MustCompile(`(?s)^template: [^:]*:(\d+):\d+: executing "[^"]*" at <(.*?)>: (.*)$`)
	missingKey  = regexp.MustCompile(`no entry for key "(.*)"$`)
	nilPointer  = regexp.MustCompile(`^nil pointer evaluating \S*?\.?(\w+)$`)
	noField     = regexp.MustCompile(`^can't evaluate field (\w+) in type (.*)$`)
	callFailure = regexp.MustCompile(`(?s)^error calling (\w+): (.*)$`)
	// printsValue are the messages of text/template that print a value.
	printsValue = regexp.MustCompile(`^(range can't iterate over|if/with can't use|can't use) `)
	plainChain  = regexp.MustCompile(`^\$?(\.\w+)+$`)
)

// explain says in words what went wrong in a template: where, which key, and what
// there is instead. It never quotes a value. Of the messages that functions return
// it keeps those of text/template's own, which tell types and positions, and fail's,
// which is the author's; others may quote their arguments and are shown only when
// no secret value is at hand.
func explain(err error, d *data, secrets bool) error {
	if d == nil {
		d = &data{}
	}
	return explainOver(err, d, d, secrets)
}

// explainOver is explain for a template that was rendered over root, in place of d.
func explainOver(err error, d *data, root any, secrets bool) error {
	if limit, ok := errors.AsType[*limitError](err); ok {
		return limit
	}
	parts := execError.FindStringSubmatch(err.Error())
	if parts == nil {
		if secrets {
			return errors.New("the template cannot be rendered")
		}
		return err
	}
	place := "line " + parts[1]
	node, message := source(parts[2]), parts[3]
	switch {
	case missingKey.MatchString(message):
		key := missingKey.FindStringSubmatch(message)[1]
		return fmt.Errorf("%s: %q not found%s", place, key, instead(node, key, root))
	case nilPointer.MatchString(message):
		return fmt.Errorf("%s: %s: %s", place, node, unset(node, d, nilPointer.FindStringSubmatch(message)[1]))
	case noField.MatchString(message):
		return fmt.Errorf("%s: %s: there is no field %s", place, node, unknownField(noField.FindStringSubmatch(message)))
	case printsValue.MatchString(message):
		return fmt.Errorf("%s: %s: %s this value; it needs a list or a map", place, node, strings.TrimSpace(printsValue.FindString(message)))
	case callFailure.MatchString(message):
		return fmt.Errorf("%s: %s: %s", place, node, failedCall(callFailure.FindStringSubmatch(message), secrets))
	}
	return fmt.Errorf("%s: %s: %s", place, node, message)
}

// source cuts the text of a node to its head: that of a loop would be all of it.
func source(node string) string {
	if strings.HasPrefix(node, "{{") {
		if head, _, ok := strings.Cut(node, "}}"); ok {
			node = head + "}}"
		}
	}
	return clip(node, 160)
}

// instead tells which keys there are where one was looked for.
func instead(node, key string, d any) string {
	if !plainChain.MatchString(node) {
		return " at " + node
	}
	idents := strings.Split(strings.TrimPrefix(node, "$"), ".")[1:]
	v := reflect.ValueOf(d)
	for i, ident := range idents {
		for (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) && !v.IsNil() {
			v = v.Elem()
		}
		if v.Kind() != reflect.Map || v.Type().Key().Kind() != reflect.String {
			if v.Kind() != reflect.Struct {
				break
			}
			v = v.FieldByName(ident)
			continue
		}
		next := v.MapIndex(reflect.ValueOf(ident).Convert(v.Type().Key()))
		if next.IsValid() {
			v = next
			continue
		}
		if ident != key {
			break
		}
		var keys []string
		for _, k := range v.MapKeys() {
			keys = append(keys, k.String())
		}
		slices.Sort(keys)
		return fmt.Sprintf(" in .%s; %s", strings.Join(idents[:i], "."), has(keys))
	}
	return " at " + node
}

// unset says why a field of the data is nil.
func unset(node string, d *data, field string) string {
	root := strings.Split(strings.TrimPrefix(node, "$"), ".")
	if len(root) < 2 || root[0] != "" {
		return fmt.Sprintf("there is nothing to take %s from", field)
	}
	switch root[1] {
	case "Profile":
		if d.Profile == nil {
			return ".Profile is not set; name a profile in spec.actions[].profile of the ActionSet"
		}
		return "the credential is of another type, " + string(d.Profile.Credential.Type)
	case "StatefulSet", "Deployment", "DeploymentConfig", "PVC", "Namespace":
		return fmt.Sprintf(".%s is not set, because the object of the ActionSet is of another kind%s", root[1], kindOf(d))
	case "DeferPhase", "CurrentPhase":
		return fmt.Sprintf(".%s is not set here", root[1])
	}
	return fmt.Sprintf("there is nothing to take %s from", field)
}

func kindOf(d *data) string {
	if kind, ok := d.Object["kind"].(string); ok {
		return ", " + kind
	}
	return ""
}

// unknownField names a field that a type does not have, and those that the data
// has.
func unknownField(match []string) string {
	name, in := match[1], match[2]
	if in != "*blueprint.data" && in != "blueprint.data" {
		return fmt.Sprintf("%q in %s", name, strings.TrimPrefix(in, "*"))
	}
	return fmt.Sprintf("%q; %s", name, has(rootFields()))
}

// rootFields are the names that a template can start with.
func rootFields() []string {
	t := reflect.TypeFor[data]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i] = t.Field(i).Name
	}
	slices.Sort(names)
	return names
}

// builtins are the functions of text/template whose errors tell types and
// positions only. fail is sprig's, and its text the author's.
const builtins = " and call eq fail ge gt index le len lt ne not or slice "

func failedCall(match []string, secrets bool) string {
	name, message := match[1], match[2]
	if secrets && !strings.Contains(builtins, " "+name+" ") {
		return fmt.Sprintf("%s fails; its message is not shown, since it may quote a value", name)
	}
	return fmt.Sprintf("%s: %s", name, message)
}

// defined lists the functions that templates may call.
func (e *engine) defined() []string {
	t := template.FuncMap{}
	maps.Copy(t, e.funcs)
	return slices.Sorted(maps.Keys(t))
}
