package sqlpool

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// Statement is a query whose text is known beforehand, with placeholders as
// Pool.Placeholder makes them.
type Statement struct {
	text   string
	args   int
	secret bool

	// PostgreSQL: the types of parameters that it could not tell by itself.
	types atomic.Pointer[[]uint32]
}

// NewStatement makes a statement of text with args placeholders.
func NewStatement(text string, args int) *Statement { return &Statement{text: text, args: args} }

// Secret says that a parameter is a secret: errors of the database, which may
// quote parameters, are withheld then. It is called before the first use.
func (s *Statement) Secret() { s.secret = true }

// checkArgs compares the number of parameters that the database found in the
// text with ours: a stray question mark would shift all the others.
func (s *Statement) checkArgs(found int) error {
	if found != s.args {
		return unusable("the database sees %d parameters in the query, it should have %d: look for stray question marks, dollar signs and quotes", found, s.args)
	}
	return nil
}

// session is one connection. It is used by one goroutine at a time, and after
// an error only while usable says so. Calls return when ctx ends, soon.
type session interface {
	// query runs s and calls row for each row until it returns false; the
	// rest is thrown away then.
	query(ctx context.Context, s *Statement, args []string, row func(Row) bool) error
	// exec runs s in a transaction, which is kept only if want finds nothing
	// wrong with the number of rows that s changed.
	exec(ctx context.Context, s *Statement, args []string, want func(rows int64) error) error
	usable() bool
	close()
}

// verdict is what an error of a session says about the host.
type verdict uint8

const (
	answered  verdict = iota // the database refused the statement; all else is well
	stale                    // this session is out of date, another may do
	elsewhere                // not on this host, which is well: it is read-only
	lost                     // the host, or the way to it
)

// driver makes sessions of one kind of database.
type driver interface {
	connect(ctx context.Context, a address) (session, error)
	// judge looks at an error that is neither final nor due to ctx.
	judge(err error) verdict
	// public is what may be told about an error in place of its text, when the
	// text could quote a parameter that is secret.
	public(err error) string
	// untranslatable reports that a text cannot be written in the encoding of
	// the database or of a column that it is compared with.
	untranslatable(err error) bool
	placeholder(n int) string
}

// closeWait is how long a connection may take to say goodbye.
const closeWait = 50 * time.Millisecond

// dialer reaches a, whatever name the driver asks for: names are looked up
// and their addresses tried by the standard library.
func dialer(a address) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, a.network(), a.target())
	}
}

// maxStatements caps the prepared statements of a session. A configuration has
// a handful.
const maxStatements = 32
