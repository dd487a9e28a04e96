package ldapwire

import (
	"encoding/binary"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Limits of what a server may send.
const (
	MaxAnswer = 4 << 20  // bytes of the answer to a lookup or bind
	MaxPage   = 64 << 20 // bytes of one page of a listing

	maxMessage  = 1 << 20  // bytes of one message: an entry, mostly
	maxDepth    = 12       // nesting; an entry with controls needs 6
	maxElements = 50_000   // of one message; an attribute with 40 000 values fits
	maxControls = 64 << 10 // bytes of a message's controls, which hold BER inside of BER
)

// Guard stands between the network and the LDAP library. It hands on whole
// messages that it has looked at: of bounded size and nesting, well-formed as
// BER with definite lengths (RFC 4511 section 5.1). So no answer costs more
// memory than its size, and a stream of answers ends.
type Guard struct {
	net.Conn          // what is spoken on, TLS or not
	raw      net.Conn // the connection below it
	left     atomic.Int64
	message  []byte // not read yet
}

// NewGuard stands before stream, which is raw or goes through it.
func NewGuard(stream, raw net.Conn) *Guard { return &Guard{Conn: stream, raw: raw} }

// Allow grants the next answer limit bytes and its request until deadline to
// be written.
func (g *Guard) Allow(limit int64, deadline time.Time) {
	g.left.Store(limit)
	_ = g.raw.SetWriteDeadline(deadline)
}

// Close closes without TLS's goodbye, which could block.
func (g *Guard) Close() error { return g.raw.Close() }

// Read returns bytes of messages that were checked. It is called by one
// goroutine at a time.
func (g *Guard) Read(p []byte) (int, error) {
	if len(g.message) == 0 {
		m, err := ReadMessage(g.Conn, &g.left)
		if err != nil {
			return 0, err
		}
		g.message = m
	}
	n := copy(p, g.message)
	g.message = g.message[n:]
	return n, nil
}

// ReadMessage reads one message and takes its size off left.
func ReadMessage(r io.Reader, left *atomic.Int64) ([]byte, error) {
	head := make([]byte, 2, 6)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if head[0] != 0x30 {
		return nil, fail.New(fail.Unavailable, "the server does not speak LDAP")
	}
	if n := int(head[1]) - 0x80; n > 0 && n <= 4 {
		head = head[:2+n]
		if _, err := io.ReadFull(r, head[2:]); err != nil {
			return nil, err
		}
	}
	length, _, ok := berLength(head[1:])
	if !ok || length > maxMessage {
		return nil, fail.New(fail.Unavailable, "the server's answer is broken, or larger than %d bytes", maxMessage)
	}
	if left.Add(-int64(len(head)+length)) < 0 {
		return nil, fail.New(fail.Unavailable, "the server answers with more than was asked for")
	}
	// The buffer grows with what comes, not with what was announced.
	body, err := io.ReadAll(io.LimitReader(r, int64(length)))
	if err == nil && len(body) < length {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	elements := maxElements
	if !wellFormed(body, maxDepth, &elements) || controls(body) > maxControls {
		return nil, fail.New(fail.Unavailable, "the server's answer is broken")
	}
	return append(head, body...), nil
}

// wellFormed walks the elements in b, constructed ones down to depth.
func wellFormed(b []byte, depth int, elements *int) bool {
	for len(b) > 0 {
		if *elements--; *elements < 0 || depth == 0 {
			return false
		}
		tag := b[0]
		if tag&0x1f == 0x1f { // LDAP has no tag above 30
			return false
		}
		length, size, ok := berLength(b[1:])
		if !ok || len(b)-1-size < length {
			return false
		}
		body := b[1+size : 1+size+length]
		if tag&0x20 != 0 && !wellFormed(body, depth-1, elements) {
			return false
		}
		b = b[1+size+length:]
	}
	return true
}

// controls is the size of the controls in a well-formed envelope, which stand
// behind the message id and the operation.
func controls(envelope []byte) int {
	total := 0
	for n := 0; len(envelope) > 0; n++ {
		length, size, _ := berLength(envelope[1:])
		if n >= 2 {
			total += length
		}
		envelope = envelope[1+size+length:]
	}
	return total
}

// berLength reads a definite length of up to four bytes; size is how many bytes
// say it.
func berLength(b []byte) (length, size int, ok bool) {
	if len(b) == 0 {
		return 0, 0, false
	}
	if b[0] < 0x80 {
		return int(b[0]), 1, true
	}
	n := int(b[0]) - 0x80
	if n == 0 || n > 4 || len(b) < 1+n {
		return 0, 0, false
	}
	var word [4]byte
	copy(word[4-n:], b[1:1+n])
	v := binary.BigEndian.Uint32(word[:])
	return int(v), 1 + n, v <= 1<<30
}
