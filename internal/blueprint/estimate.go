package blueprint

import (
	"math"
	"reflect"
	"strings"
)

// estimate says how much a function would build, from its arguments, or 0 when
// that is in proportion to them. It is asked before the call, since afterwards is
// too late: repeat 1000000000 "x" takes a gigabyte.
func estimate(name string, args []reflect.Value) float64 {
	switch name {
	case "repeat":
		return number(args, 0) * size(args, 1)
	case "until":
		return stepCost * number(args, 0)
	case "untilStep":
		return stepCost * math.Abs(signed(args, 1)-signed(args, 0)) / max(number(args, 2), 1)
	case "randAlphaNum", "randAlpha", "randAscii", "randNumeric":
		return number(args, 0)
	case "indent", "nindent":
		return number(args, 0) * float64(1+strings.Count(str(args, 1), "\n"))
	case "replace":
		return size(args, 1) * float64(strings.Count(str(args, 2), str(args, 0)))
	case "regexReplaceAll", "regexReplaceAllLiteral":
		return regex(args) + size(args, 1)*size(args, 2)
	case "regexMatch", "regexFind", "regexFindAll", "regexSplit":
		return regex(args)
	case "wrapWith":
		return size(args, 1) * (1 + size(args, 2)/max(number(args, 0), 1))
	case "join":
		return size(args, 0) * length(args, 1)
	case "split", "splitList":
		return 4 * stepCost * float64(1+strings.Count(str(args, 1), str(args, 0)))
	case "splitn":
		return 4 * stepCost * float64(1+strings.Count(str(args, 2), str(args, 0)))
	case "uniq":
		return length(args, 0) * length(args, 0)
	case "without":
		return length(args, 0) * float64(len(args))
	case "printf":
		return printed(args)
	case "genPrivateKey", "genCA", "genSelfSignedCert", "genSignedCert":
		// Seconds of a processor each: eight are the whole allowance.
		return maxWork / 8
	}
	return 0
}

// maxRegex bounds the length in bytes of a regular expression, which compiles to
// something a thousand times as large.
const maxRegex = 4 << 10

func regex(args []reflect.Value) float64 {
	if size(args, 0) > maxRegex {
		return math.Inf(1)
	}
	return 0
}

// printed estimates printf: every verb may print the longest argument, every
// number may be a width.
func printed(args []reflect.Value) float64 {
	format := str(args, 0)
	longest, widest := 64.0, 0.0
	for i := 1; i < len(args); i++ {
		weight := maxText
		if !weigh(args[i], &weight, 0) {
			return math.Inf(1)
		}
		longest = max(longest, float64(maxText-weight))
		widest = max(widest, number(args, i))
	}
	// Each byte of the format is at most a quarter of a number.
	total, digits := float64(len(format)), 0.0
	for _, c := range format {
		switch {
		case c >= '0' && c <= '9':
			digits = digits*10 + float64(c-'0')
			continue
		case c == '%':
			total += longest
		case c == '*':
			total += min(widest, 1e6)
		}
		total += min(digits, 1e6)
		digits = 0
	}
	return total
}

func at(args []reflect.Value, i int) reflect.Value {
	if i >= len(args) {
		return reflect.Value{}
	}
	v := args[i]
	for (v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer) && !v.IsNil() {
		v = v.Elem()
	}
	return v
}

func str(args []reflect.Value, i int) string {
	if v := at(args, i); v.Kind() == reflect.String {
		return v.String()
	}
	return ""
}

func size(args []reflect.Value, i int) float64 { return float64(len(str(args, i))) }

func length(args []reflect.Value, i int) float64 {
	switch v := at(args, i); v.Kind() { //nolint:exhaustive // what has a length
	case reflect.Slice, reflect.Array, reflect.Map, reflect.String:
		return float64(v.Len())
	default:
		return 1
	}
}

func signed(args []reflect.Value, i int) float64 {
	v := at(args, i)
	switch {
	case v.IsValid() && v.CanInt():
		return float64(v.Int())
	case v.IsValid() && v.CanUint():
		return float64(v.Uint())
	}
	return 0
}

func number(args []reflect.Value, i int) float64 { return math.Abs(signed(args, i)) }
