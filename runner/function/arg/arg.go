package arg

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-viper/mapstructure/v2"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// Decode fills the struct that into points to from args. Fields without a value
// in args keep what they have. The error is a *function.Error with
// event.ReasonInvalid; it names every argument that is missing or of the wrong
// type.
func Decode(args map[string]any, into any) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer || target.Elem().Kind() != reflect.Struct {
		return function.Errorf(event.ReasonInternal, "decode arguments into %T: want a pointer to a struct", into)
	}
	problems := missing(args, target.Elem().Type())
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result:           into,
		WeaklyTypedInput: true,
		DecodeHook:       wholeNumbers,
	})
	if err != nil {
		return function.Errorf(event.ReasonInternal, "decode arguments into %T: %w", into, err)
	}
	problems = append(problems, explain(decoder.Decode(args))...)
	if len(problems) > 0 {
		return &function.Error{Reason: event.ReasonInvalid, Err: errors.Join(problems...)}
	}
	return nil
}

// Replicas reads a whole number that is not negative, from any number or decimal
// text. The error says what the argument should be.
func Replicas(name string, value any) (int32, error) {
	fail := func() (int32, error) {
		return 0, function.Errorf(event.ReasonInvalid, "argument %q must be a whole number from 0 to %d, as a number or as text, not %s",
			name, math.MaxInt32, kind(reflect.TypeOf(value)))
	}
	number := reflect.ValueOf(value)
	var n float64
	switch {
	case !number.IsValid():
		return fail()
	case number.CanInt():
		n = float64(number.Int())
	case number.CanUint():
		n = float64(number.Uint())
	case number.CanFloat():
		n = number.Float()
	case number.Kind() == reflect.String:
		parsed, err := strconv.ParseInt(strings.TrimSpace(number.String()), 10, 32)
		if err != nil {
			return fail()
		}
		n = float64(parsed)
	default:
		return fail()
	}
	if n != math.Trunc(n) || n < 0 || n > math.MaxInt32 {
		return fail()
	}
	return int32(n), nil
}

// wholeNumbers refuses to cut 2.5 to 2, which mapstructure would do.
func wholeNumbers(from, to reflect.Value) (any, error) {
	if from.CanFloat() && (to.CanInt() || to.CanUint()) && from.Float() != math.Trunc(from.Float()) {
		return nil, errFraction
	}
	return from.Interface(), nil
}

var errFraction = errors.New("must be a whole number")

// missing names the fields with the tag arg:"required" that args lacks, those of
// embedded structs too.
func missing(args map[string]any, of reflect.Type) []error {
	var problems []error
	for f := range of.Fields() {
		if f.Anonymous && f.Type.Kind() == reflect.Struct {
			problems = append(problems, missing(args, f.Type)...)
			continue
		}
		if f.Tag.Get("arg") != "required" {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
		if args[name] == nil {
			problems = append(problems, fmt.Errorf("argument %q is missing: it must be %s", name, kind(f.Type)))
		}
	}
	return problems
}

// explain says in words what mapstructure did not like, without the values.
func explain(err error) []error {
	switch e := any(err).(type) {
	case nil:
		return nil
	case *mapstructure.DecodeError:
		return []error{explainOne(e)}
	case interface{ Unwrap() []error }:
		var problems []error
		for _, inner := range e.Unwrap() {
			problems = append(problems, explain(inner)...)
		}
		return problems
	case interface{ Unwrap() error }:
		return explain(e.Unwrap())
	default:
		return []error{errors.New("the arguments cannot be read; docs/functions.md says what they must be")}
	}
}

func explainOne(err *mapstructure.DecodeError) error {
	var wrong *mapstructure.UnconvertibleTypeError
	var unparsable *mapstructure.ParseError
	switch {
	case errors.Is(err, errFraction):
		return fmt.Errorf("argument %q must be a whole number", err.Name())
	case errors.As(err, &wrong):
		return fmt.Errorf("argument %q must be %s, not %s", err.Name(), kind(wrong.Expected.Type()), kind(reflect.TypeOf(wrong.Value)))
	case errors.As(err, &unparsable):
		return fmt.Errorf("argument %q must be %s", err.Name(), kind(unparsable.Expected.Type()))
	case strings.Contains(err.Error(), "expected a map"):
		return fmt.Errorf("argument %q must be a map", err.Name())
	}
	return fmt.Errorf("argument %q is of the wrong type; docs/functions.md says what it must be", err.Name())
}

// kind names a type as the author of a blueprint would.
func kind(t reflect.Type) string {
	if t == nil {
		return "null"
	}
	switch t.Kind() { //nolint:exhaustive // the rest cannot be written in YAML
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "a map"
	case reflect.Pointer:
		return kind(t.Elem())
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	default:
		return "a value"
	}
}
