package trigger

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	cesql "github.com/cloudevents/sdk-go/sql/v2"
	"github.com/cloudevents/sdk-go/sql/v2/parser"
	"github.com/cloudevents/sdk-go/sql/v2/utils"
)

// The bounds of an expression. The library can be neither interrupted nor limited.
const (
	maxExpression = 4096
	maxBrackets   = 32
	// maxAttributes bounds, in bytes, the attributes of an event that an expression
	// is evaluated for.
	maxAttributes = 64 << 10
)

// parsing lets one expression be parsed at a time: the parser that the library is
// generated with keeps tables that all share.
var parsing sync.Mutex //nolint:gochecknoglobals // it guards another package's globals

// sqlFilter is an expression in CloudEvents SQL.
type sqlFilter struct {
	expression cesql.Expression
	named      bool
}

func newSQLFilter(text string) (*sqlFilter, error) {
	if err := bounded(text); err != nil {
		return nil, err
	}
	expression, err := parseSQL(text)
	if err != nil {
		return nil, err
	}
	return &sqlFilter{expression: expression, named: strings.Contains(text, ownType) || strings.Contains(text, ownSource)}, nil
}

func bounded(text string) error {
	if len(text) > maxExpression {
		return fmt.Errorf("it is %d bytes long; at most %d are allowed", len(text), maxExpression)
	}
	depth := 0
	for _, r := range text {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth > maxBrackets {
			return fmt.Errorf("its brackets nest deeper than %d", maxBrackets)
		}
	}
	return nil
}

func parseSQL(text string) (expression cesql.Expression, err error) {
	parsing.Lock()
	defer parsing.Unlock()
	defer func() {
		if r := recover(); r != nil {
			expression, err = nil, fmt.Errorf("it cannot be parsed: %v", r)
		}
	}()
	expression, err = parser.Parse(text)
	if err == nil && expression == nil {
		err = errors.New("it cannot be parsed")
	}
	return expression, err
}

func (f *sqlFilter) match(in *input) (ok, named bool) {
	size := 0
	for _, value := range in.attributes {
		size += len(value)
	}
	if size > maxAttributes {
		return false, false
	}
	defer func() {
		if recover() != nil {
			ok, named = false, false
		}
	}()
	value, err := f.expression.Evaluate(*in.event)
	if err != nil {
		return false, false
	}
	value, err = utils.Cast(value, cesql.BooleanType)
	if err != nil {
		return false, false
	}
	ok, _ = value.(bool)
	return ok, ok && f.named
}
