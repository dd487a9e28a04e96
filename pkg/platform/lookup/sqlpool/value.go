package sqlpool

import (
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Caps of an answer. Fields of a user are names, paths, hashes and rules; what
// is longer is a column that nobody meant to select.
const (
	MaxColumns = 64
	MaxValue   = 16 << 10
	MaxRow     = 64 << 10
)

// Value is one value of a row, in the text form that the database gives it.
type Value struct {
	Text string
	Null bool
}

// Row is one row of an answer. Columns belong to the whole answer and are not
// to be changed; names are as the database returned them.
type Row struct {
	Columns []string
	Values  []Value
}

// final is an error that another try would only repeat: an answer that is not
// to be used, or a caller that has had enough.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

func unusable(format string, args ...any) error {
	return final{fail.New(fail.Unavailable, format, args...)}
}

// reader makes rows of what a driver hands over, and holds them to the caps.
type reader struct {
	columns []string
	size    int
	values  []Value
}

func newReader(columns []string) (*reader, error) {
	if len(columns) > MaxColumns {
		return nil, unusable("the query returns %d columns, more than %d", len(columns), MaxColumns)
	}
	return &reader{columns: columns}, nil
}

// begin starts a row.
func (r *reader) begin() { r.size, r.values = 0, make([]Value, 0, len(r.columns)) }

func (r *reader) null() { r.values = append(r.values, Value{Null: true}) }

// text takes the next value; b may be reused afterwards.
func (r *reader) text(b []byte) error {
	column := r.columns[len(r.values)]
	r.size += len(b)
	switch {
	case len(b) > MaxValue:
		return unusable("column %.60q holds %d bytes, more than %d", column, len(b), MaxValue)
	case r.size > MaxRow:
		return unusable("a row holds more than %d bytes", MaxRow)
	}
	r.values = append(r.values, Value{Text: string(b)})
	return nil
}

// wrongType is the error for a column that is no text, number or the like.
func (r *reader) wrongType(i int, kind string) error {
	return unusable("column %.60q is of type %s, which is no text: convert it in the query", r.columns[i], kind)
}

func (r *reader) row() Row { return Row{r.columns, r.values} }
