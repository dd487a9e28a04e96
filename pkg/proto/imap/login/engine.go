package login

import (
	"context"
	"net"

	imap "github.com/emersion/go-imap/v2"
)

// Engine runs one connection. It is not safe for concurrent use.
type Engine struct {
	conn net.Conn
	opt  Options
}

// New prepares an engine. It sends nothing yet.
func New(conn net.Conn, opt Options) *Engine {
	return &Engine{conn: conn, opt: opt}
}

// Run sends the greeting (the first time it is called) and serves commands
// until somebody is logged in or the connection is over. It never closes the
// connection. After a Success that could not be used, answer it with Refuse
// and call Run again.
func (e *Engine) Run(ctx context.Context) Outcome {
	return Outcome{Reason: ReasonClosed}
}

// Refuse answers a Success with NO: the login was right but cannot be served.
// The bytes in s.Buffered are read again by the next Run.
func (e *Engine) Refuse(s *Success, code imap.ResponseCode, text string) error {
	return nil
}
