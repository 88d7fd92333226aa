package trigger

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/antlr/antlr4/runtime/Go/antlr"
	cesql "github.com/cloudevents/sdk-go/sql/v2"
	"github.com/cloudevents/sdk-go/sql/v2/gen"
	"github.com/cloudevents/sdk-go/sql/v2/parser"
	"github.com/cloudevents/sdk-go/sql/v2/utils"
	cloudevents "github.com/cloudevents/sdk-go/v2"

	"github.com/salvor-io/salvor/internal/nearest"
)

// The bounds of an expression. The library can be neither interrupted nor limited;
// within these, the worst that was found takes some tens of milliseconds and
// megabytes.
const (
	maxExpression = 4096
	maxBrackets   = 32
	// maxAttributes bounds, in bytes, the attributes of an event that an expression
	// is evaluated for.
	maxAttributes = 16 << 10
)

// parsing lets one expression be parsed at a time: the parser that the library is
// generated with keeps tables that all share.
var parsing sync.Mutex //nolint:gochecknoglobals // it guards another package's globals

var (
	// sqlText are the literals of an expression.
	sqlText = regexp.MustCompile(`'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"`)
	// sqlWord is a name, and the bracket that makes it a function's.
	sqlWord = regexp.MustCompile(`([A-Za-z][A-Za-z0-9_]*)(\s*\()?`)
)

// sqlKeywords are the words of the language that are no names.
func sqlKeywords() []string {
	return []string{"AND", "OR", "XOR", "NOT", "LIKE", "EXISTS", "IN", "TRUE", "FALSE"}
}

// sqlFunctions are the functions that there are.
func sqlFunctions() []string {
	return []string{
		"ABS", "BOOL", "CONCAT", "CONCAT_WS", "INT", "IS_BOOL", "IS_INT", "LEFT", "LENGTH", "LOWER", "RIGHT",
		"STRING", "SUBSTRING", "TRIM", "UPPER",
	}
}

// sqlFilter is an expression in CloudEvents SQL.
type sqlFilter struct {
	expression cesql.Expression
	named      bool
}

// newSQLFilter parses an expression. If it is wrong or can never be true, the error
// says why.
func newSQLFilter(text string) (*sqlFilter, error) {
	if err := bounded(text); err != nil {
		return nil, err
	}
	attributes, err := sqlNames(text)
	if err != nil {
		return nil, err
	}
	expression, err := parseSQL(text)
	if err != nil {
		return nil, err
	}
	f := &sqlFilter{expression: expression, named: strings.Contains(text, ownType) || strings.Contains(text, ownSource)}
	if !attributes {
		e := cloudevents.NewEvent()
		if ok, _ := f.match(newInput(&e)); !ok {
			return nil, errors.New("it looks at no attribute and is never true")
		}
	}
	return f, nil
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

// sqlNames looks at the names in an expression: whether there are attributes among
// them, and whether its functions exist, which the library says too late.
func sqlNames(text string) (attributes bool, err error) {
	for _, word := range sqlWord.FindAllStringSubmatch(sqlText.ReplaceAllString(text, " "), -1) {
		upper := strings.ToUpper(word[1])
		switch {
		case slices.Contains(sqlKeywords(), upper):
		case word[2] == "" && (upper == "DATA" || upper == "DATABASE64"):
			return false, errors.New("filters see attributes, not data; put what decides into an attribute, such as subject or an extension")
		case word[2] == "":
			attributes = true
		case !slices.Contains(sqlFunctions(), upper):
			hint := "there are " + strings.Join(sqlFunctions(), ", ")
			if near := nearest.Name(upper, sqlFunctions()); near != "" {
				hint = "did you mean " + near + "?"
			}
			return false, fmt.Errorf("there is no function %s; %s", word[1], hint)
		}
	}
	return attributes, nil
}

func parseSQL(text string) (expression cesql.Expression, err error) {
	parsing.Lock()
	defer parsing.Unlock()
	defer func() {
		if recover() != nil { // what is wrong with it the library meets as nil
			expression, err = nil, errors.New("it is no expression")
		}
	}()
	if err := sqlSyntax(text); err != nil {
		return nil, err
	}
	expression, err = parser.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("it is no expression: %w", err)
	}
	return expression, nil
}

// sqlSyntax says where an expression is wrong. The library says only that it is,
// and some of it on the standard error.
func sqlSyntax(text string) error {
	var faults syntaxFaults
	lexer := gen.NewCESQLParserLexer(parser.NewCaseChangingStream(antlr.NewInputStream(text), true))
	lexer.RemoveErrorListeners()
	lexer.AddErrorListener(&faults)
	p := gen.NewCESQLParserParser(antlr.NewCommonTokenStream(lexer, antlr.TokenDefaultChannel))
	p.RemoveErrorListeners()
	p.AddErrorListener(&faults)
	p.Cesql()
	return faults.first
}

// syntaxFaults keeps the first fault.
type syntaxFaults struct {
	antlr.DefaultErrorListener

	first error
}

// SyntaxError is antlr's way to tell a fault.
func (s *syntaxFaults) SyntaxError(_ antlr.Recognizer, _ any, line, column int, message string, _ antlr.RecognitionException) { //nolint:revive // the library's
	if s.first == nil {
		s.first = fmt.Errorf("line %d, character %d: %s", line, column+1, clip(message))
	}
}

func (f *sqlFilter) match(in *input) (ok, named bool) {
	if in.attributesSize() > maxAttributes {
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
