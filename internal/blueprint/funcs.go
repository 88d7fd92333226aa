package blueprint

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
)

// allowed are the functions of sprig that templates may call: those that Kanister
// has, but for the ones that read the process's environment (env, expandenv), the
// network (getHostByName), or derive passwords. A list of what is allowed, so that
// a new version of sprig adds nothing by itself.
const allowed = `
abbrev abbrevboth add add1 adler32sum ago append atoi b32dec b32enc b64dec b64enc base biggest buildCustomCert
camelcase cat ceil clean coalesce compact concat contains date dateInZone dateModify date_in_zone date_modify
decryptAES deepCopy deepEqual default dict dir div empty encryptAES ext fail first float64 floor genCA genPrivateKey
genSelfSignedCert genSignedCert has hasKey hasPrefix hasSuffix hello htmlDate htmlDateInZone indent initial initials
int int64 isAbs join kebabcase keys kindIs kindOf last list lower max merge mergeOverwrite min mod mul nindent nospace
now omit pick pluck plural prepend push quote randAlpha randAlphaNum randAscii randNumeric regexFind regexFindAll
regexMatch regexReplaceAll regexReplaceAllLiteral regexSplit repeat replace rest reverse round semver semverCompare
set sha1sum sha256sum shuffle slice snakecase sortAlpha split splitList splitn squote sub substr swapcase ternary
title toDate toDecimal toJson toPrettyJson toString toStrings trim trimAll trimPrefix trimSuffix trimall trunc tuple
typeIs typeIsLike typeOf uniq unixEpoch unset until untilStep untitle upper urlJoin urlParse uuidv4 values without
wrap wrapWith`

// extra are functions of sprig that Kanister does not have.
const extra = `all any dig fromJson get mustFromJson mustToDate mustToJson regexQuoteMeta sha512sum toRawJson`

// decimal are the functions whose arguments are read as decimal numbers, as sprig
// v2 did: v3 takes "010" for eight.
const decimal = ` add add1 biggest div int int64 max min mod mul sub `

// functions returns what templates may call, each within the allowance of g.
func functions(g *guard) template.FuncMap {
	all := sprig.TxtFuncMap()
	overrides(all)
	funcs := template.FuncMap{}
	for _, name := range strings.Fields(allowed + extra) {
		if fn, ok := all[name]; ok {
			funcs[name] = g.wrap(name, fn)
		}
	}
	// text/template's own that build text.
	for name, fn := range map[string]any{
		"print": fmt.Sprint, "printf": fmt.Sprintf, "println": fmt.Sprintln,
		"html": template.HTMLEscaper, "js": template.JSEscaper, "urlquery": template.URLQueryEscaper,
	} {
		funcs[name] = g.wrap(name, fn)
	}
	return funcs
}

// overrides replaces the functions of sprig that would make a blueprint depend on
// the machine it is rendered on, and those that could make a map a part of itself.
func overrides(all template.FuncMap) {
	inZone, ok := all["dateInZone"].(func(string, any, string) string)
	if ok {
		// UTC, as in Kanister's image, wherever this process runs.
		all["date"] = func(format string, date any) string { return inZone(format, date, "UTC") }
		all["htmlDate"] = func(date any) string { return inZone("2006-01-02", date, "UTC") }
	}
	all["toDate"] = func(format, text string) time.Time {
		t, err := time.ParseInLocation(format, text, time.UTC)
		if err != nil {
			return time.Time{} // sprig's: no error, the zero time
		}
		return t
	}
	all["mustToDate"] = func(format, text string) (time.Time, error) { return time.ParseInLocation(format, text, time.UTC) }
	all["set"] = set
	for _, name := range []string{"merge", "mergeOverwrite"} {
		merge, ok := all[name].(func(map[string]any, ...map[string]any) any)
		if !ok {
			continue
		}
		all[name] = func(dst map[string]any, sources ...map[string]any) (any, error) {
			copies := make([]map[string]any, len(sources))
			for i, source := range sources {
				c, err := copyOf(all, source)
				if err != nil {
					return nil, err
				}
				copies[i] = c
			}
			return merge(dst, copies...), nil
		}
	}
}

// set is sprig's, but leaves the map as it was when it would grow too heavy, or
// become a part of itself.
func set(m map[string]any, key string, value any) (map[string]any, error) {
	before, had := m[key]
	m[key] = value
	left := maxText
	if weigh(reflect.ValueOf(m), &left, 0) {
		return m, nil
	}
	delete(m, key)
	if had {
		m[key] = before
	}
	return nil, tooMuch("set would make a map that is too large, or a part of itself")
}

// copyOf copies a map that is about to be merged into another, so that the two
// share nothing.
func copyOf(all template.FuncMap, m map[string]any) (map[string]any, error) {
	deepCopy, ok := all["deepCopy"].(func(any) any)
	if !ok {
		return m, nil
	}
	c, ok := deepCopy(m).(map[string]any)
	if !ok {
		return nil, fmt.Errorf("cannot copy a %T", m)
	}
	return c, nil
}

var (
	errorType = reflect.TypeFor[error]()
	anyType   = reflect.TypeFor[any]()
)

// wrap returns fn with the same arguments, which spends from the allowance and
// may return an error.
func (g *guard) wrap(name string, fn any) any {
	f := reflect.ValueOf(fn)
	t := f.Type()
	in := make([]reflect.Type, t.NumIn())
	for i := range in {
		in[i] = t.In(i)
	}
	fails := t.NumOut() == 2
	asDecimal := strings.Contains(decimal, " "+name+" ")
	wrapped := func(args []reflect.Value) []reflect.Value {
		result, err := reflect.Zero(t.Out(0)), g.before(name, args, t.IsVariadic())
		if err != nil {
			return []reflect.Value{result, reflect.ValueOf(&err).Elem()}
		}
		if asDecimal {
			args = decimals(args)
		}
		var out []reflect.Value
		if t.IsVariadic() {
			out = f.CallSlice(args)
		} else {
			out = f.Call(args)
		}
		if fails && !out[1].IsNil() {
			return out
		}
		if err := g.made(name, out[0]); err != nil {
			return []reflect.Value{result, reflect.ValueOf(&err).Elem()}
		}
		return []reflect.Value{out[0], reflect.Zero(errorType)}
	}
	return reflect.MakeFunc(reflect.FuncOf(in, []reflect.Type{t.Out(0), errorType}, t.IsVariadic()), wrapped).Interface()
}

// before spends for the arguments and refuses calls that would build too much.
func (g *guard) before(name string, args []reflect.Value, variadic bool) error {
	if variadic {
		last := args[len(args)-1]
		args = append([]reflect.Value{}, args[:len(args)-1]...)
		for i := range last.Len() {
			args = append(args, last.Index(i))
		}
	}
	would := estimate(name, args)
	if would > maxEstimate {
		return tooMuch("what %s would make is too large for a template", name)
	}
	cost := stepCost + int(would)
	for i := range args {
		cost += int(length(args, i))
	}
	return g.spend(cost)
}

// decimals turns arguments of type any into int64.
func decimals(args []reflect.Value) []reflect.Value {
	out := make([]reflect.Value, len(args))
	for i, arg := range args {
		switch {
		case arg.Type() == anyType:
			out[i] = reflect.ValueOf(toInt64(arg.Interface()))
		case arg.Type() == reflect.TypeFor[[]any]():
			list := make([]any, arg.Len())
			for j := range list {
				list[j] = toInt64(arg.Index(j).Interface())
			}
			out[i] = reflect.ValueOf(list)
		default:
			out[i] = arg
		}
	}
	return out
}

// toInt64 converts as sprig v2 does: text is decimal, and 0 when it is not a whole
// number.
func toInt64(value any) int64 {
	v := at([]reflect.Value{reflect.ValueOf(value)}, 0)
	switch {
	case !v.IsValid():
		return 0
	case v.Kind() == reflect.String:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil {
			return 0
		}
		return n
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return int64(min(v.Uint(), 1<<63-1)) //nolint:gosec // G115: bounded in this line
	case v.CanFloat():
		return int64(v.Float())
	case v.Kind() == reflect.Bool && v.Bool():
		return 1
	}
	return 0
}
