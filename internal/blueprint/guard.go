package blueprint

import (
	"fmt"
	"reflect"
	"time"
)

// The limits of one rendering. The largest of the blueprints that people have
// renders less than a hundredth of them.
const (
	// maxText bounds, in bytes, what is rendered and each value on the way.
	maxText = 1 << 20
	// maxWork bounds the work of one rendering: a step costs stepCost, a value
	// that is made its size.
	maxWork = 16 << 20
	// maxEstimate bounds what a function may build, by what its arguments say
	// before it is called.
	maxEstimate = 16 << 20
	// maxDepth bounds how deep lists and maps nest.
	maxDepth = 64
	stepCost = 16
)

// limitError says that a limit is passed.
type limitError struct{ message string }

func (e *limitError) Error() string { return e.message }

func tooMuch(format string, args ...any) error {
	return &limitError{message: fmt.Sprintf(format, args...)}
}

// guard is the allowance of work of one rendering. text/template cannot be
// stopped from outside, so every way to go on for long passes here: turns of a
// loop and templates that call templates (see meter), calls of functions, output.
type guard struct {
	left int
}

// start gives a full allowance.
func (g *guard) start() { g.left = maxWork }

func (g *guard) spend(cost int) error {
	g.left -= max(cost, 1)
	if g.left < 0 {
		g.left = 0
		return tooMuch("rendering it is too much work; loop less, or do it in the command")
	}
	return nil
}

// made checks a value that a function has made, and spends its size.
func (g *guard) made(name string, v reflect.Value) error {
	size := maxText
	if !weigh(v, &size, 0) {
		return tooMuch("what %s makes is too large for a template (over %d bytes, nested deeper than %d, or a part of itself)", name, maxText, maxDepth)
	}
	return g.spend(stepCost + maxText - size)
}

var timeType = reflect.TypeFor[time.Time]()

// weigh takes the size of v off left, as if everything in it were printed, and
// reports whether it was enough. So a value that holds another twice counts it
// twice, and one that holds itself is too heavy.
func weigh(v reflect.Value, left *int, depth int) bool {
	*left -= stepCost
	if *left < 0 || depth > maxDepth {
		return false
	}
	switch v.Kind() {
	case reflect.String:
		*left -= v.Len()
	case reflect.Interface, reflect.Pointer:
		return v.IsNil() || weigh(v.Elem(), left, depth+1)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			*left -= v.Len()
			break
		}
		for i := range v.Len() {
			if !weigh(v.Index(i), left, depth+1) {
				return false
			}
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			if !weigh(entry.Key(), left, depth+1) || !weigh(entry.Value(), left, depth+1) {
				return false
			}
		}
	case reflect.Struct:
		if v.Type() == timeType {
			break
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && !weigh(v.Field(i), left, depth+1) {
				return false
			}
		}
	default:
		// Numbers and the like weigh a step.
	}
	return *left >= 0
}

// output collects what is rendered, up to maxText.
type output struct {
	text []byte
}

// Write adds to the text. If that makes it too long, an error is returned.
func (o *output) Write(p []byte) (int, error) {
	if len(o.text)+len(p) > maxText {
		return 0, tooMuch("the rendered text is over %d bytes; keep large data in an object store", maxText)
	}
	o.text = append(o.text, p...)
	return len(p), nil
}
