package output

import (
	"bytes"
	"fmt"
	"strings"
)

// Bounds, in bytes.
const (
	// MaxLine is how long a log line may be to be handed on.
	MaxLine = 64 << 10
	// MaxValue is how long the JSON object after a marker may be.
	MaxValue = 8 << 20
	// MaxTotal is how much all keys and values of one phase may be together.
	MaxTotal = 8 << 20
	// TailLines is how many lines Tail returns at most.
	TailLines = 10
)

// Parser takes a program's output in any pieces, keeps the values it publishes,
// and hands on its log lines. It is not safe for concurrent use.
type Parser struct {
	onLine  func(string)
	logOnly bool
	values  map[string]any
	total   int
	err     error
	tail    []string

	// number of the line being assembled, from 1.
	number int
	// line is what is kept of it: all of it, or, if marked, what follows the
	// marker, or, if long, its last bytes, which may be the start of a marker.
	line []byte
	// length of the line so far.
	length int
	// marked: the marker was found; long: the line is longer than its bound.
	marked, long bool
}

// Option changes a Parser.
type Option func(*Parser)

// WithLines has f called with each line that is not empty and publishes nothing,
// in order, without its newline, and with the text before a marker. The text may
// hold secret values.
func WithLines(f func(string)) Option {
	return func(p *Parser) { p.onLine = f }
}

// LogOnly has the parser look for no markers: every line is a log line.
func LogOnly() Option {
	return func(p *Parser) { p.logOnly = true }
}

// NewParser returns a Parser.
func NewParser(options ...Option) *Parser {
	p := &Parser{number: 1}
	for _, o := range options {
		o(p)
	}
	return p
}

// Write takes the next piece. It always takes all of it and never fails, so that
// the log goes on after a bad output; Finish tells what was wrong.
func (p *Parser) Write(piece []byte) (int, error) {
	n := len(piece)
	for {
		end := bytes.IndexByte(piece, '\n')
		if end < 0 {
			p.extend(piece)
			return n, nil
		}
		p.extend(piece[:end])
		p.endLine()
		piece = piece[end+1:]
	}
}

// Finish ends the last line, if it has no newline, and returns the values, nil
// if none was published. If anything published could not be read, it returns the
// first error and no values. Nothing may be written after it.
func (p *Parser) Finish() (map[string]any, error) {
	if p.length > 0 {
		p.endLine()
	}
	if p.err != nil {
		return nil, p.err
	}
	return p.values, nil
}

// Tail returns the last lines, at most TailLines, as they were handed on. The
// text may hold secret values.
func (p *Parser) Tail() []string {
	return append([]string(nil), p.tail...)
}

// extend adds a piece without newline to the line.
func (p *Parser) extend(piece []byte) {
	p.length += len(piece)
	if p.marked {
		p.extendValue(piece)
		return
	}
	// A marker may have begun in the bytes that are there already.
	from := max(0, len(p.line)-len(Marker)+1)
	p.line = append(p.line, piece...)
	if at := bytes.Index(p.line[from:], []byte(Marker)); at >= 0 && !p.logOnly {
		at += from
		p.emit(p.line[:at], p.length-len(p.line)+at)
		rest := bytes.Clone(p.line[at+len(Marker):])
		p.line, p.marked, p.long = p.line[:0], true, false
		p.extendValue(rest)
		return
	}
	if len(p.line) > MaxLine {
		p.long = true
	}
	if p.long {
		keep := min(len(p.line), len(Marker)-1)
		p.line = append(p.line[:0], p.line[len(p.line)-keep:]...)
	}
}

// extendValue adds to what follows a marker.
func (p *Parser) extendValue(piece []byte) {
	if p.long || len(p.line)+len(piece) > MaxValue {
		p.long, p.line = true, nil
		return
	}
	p.line = append(p.line, piece...)
}

func (p *Parser) endLine() {
	switch {
	case !p.marked:
		p.emit(p.line, p.length)
	case p.long:
		p.fail(fmt.Errorf("it is longer than %d bytes; write the value to the object store and publish its path", MaxValue))
	default:
		p.publish(bytes.TrimSpace(p.line))
	}
	p.number++
	p.length, p.marked, p.long = 0, false, false
	p.line = p.line[:0]
	if cap(p.line) > 2*MaxLine { // one big value is no reason to keep its memory
		p.line = nil
	}
}

func (p *Parser) publish(text []byte) {
	if len(text) == 0 {
		return
	}
	m, err := decode(text)
	if err != nil {
		p.fail(err)
		return
	}
	size := len(m.Key) + len(m.Value)
	if old, ok := p.values[m.Key].(string); ok {
		size -= len(m.Key) + len(old)
	}
	if p.total+size > MaxTotal {
		p.fail(fmt.Errorf("key %q makes all outputs of the phase more than %d bytes; write values to the object store and publish their paths", m.Key, MaxTotal))
		return
	}
	p.total += size
	if p.values == nil {
		p.values = map[string]any{}
	}
	p.values[m.Key] = m.Value
}

// emit hands on a log line, of which text is kept and length is the true length.
func (p *Parser) emit(text []byte, length int) {
	line := strings.TrimRight(string(text), "\r")
	if p.long || length > MaxLine {
		line = fmt.Sprintf("[a line of %d bytes is left out]", length)
	}
	if strings.TrimSpace(line) == "" {
		return
	}
	if p.onLine != nil {
		p.onLine(line)
	}
	if len(p.tail) == TailLines {
		p.tail = append(p.tail[:0], p.tail[1:]...)
	}
	p.tail = append(p.tail, line)
}

func (p *Parser) fail(err error) {
	if p.err == nil {
		p.err = fmt.Errorf("phase output in line %d of the log: %w", p.number, err)
	}
}
