package csi

import (
	"errors"
	"fmt"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// given is an argument and the text it has.
type given struct {
	name, value string
}

// filled refuses arguments that are empty, as a template without a value leaves
// them: an empty name would be the whole collection, an empty namespace every one.
func filled(arguments ...given) error {
	var problems []error
	for _, a := range arguments {
		if a.value == "" {
			problems = append(problems, fmt.Errorf("argument %q is empty", a.name))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &function.Error{Reason: event.ReasonInvalid, Err: errors.Join(problems...)}
}
