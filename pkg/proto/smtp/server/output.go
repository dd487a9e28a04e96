package server

import (
	"net"
	"time"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// flushAt is how much output may wait for the end of a pipelined group.
const flushAt = 8 << 10

// output collects replies. An error sticks; the session notices it at its
// next flush.
type output struct {
	conn    net.Conn
	timeout time.Duration
	armed   time.Time
	buf     []byte
	record  Recorder // nil: nobody
	err     error
}

func (o *output) reply(r wire.Reply) {
	at := len(o.buf)
	o.buf = r.Append(o.buf)
	if o.record != nil {
		o.record.Out(string(o.buf[at:]))
	}
	if len(o.buf) >= flushAt {
		o.flush()
	}
}

func (o *output) flush() {
	if len(o.buf) == 0 {
		return
	}
	if o.err == nil {
		if t := time.Now().Add(o.timeout); t.Sub(o.armed) > o.timeout/16 {
			o.armed = t
			_ = o.conn.SetWriteDeadline(t) // fails only on a closed connection
		}
		_, o.err = o.conn.Write(o.buf)
	}
	if cap(o.buf) > 2*flushAt {
		o.buf = nil
	}
	o.buf = o.buf[:0]
}

// secure continues on a TLS connection.
func (o *output) secure(conn net.Conn) { o.conn, o.armed = conn, time.Time{} }
