package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"
)

// MaxLine caps a command line. RFC 2449 section 4 allows 255 octets; SASL
// answers are longer (Dovecot's buffer: 8192).
const MaxLine = 8192

// ErrTooLong reports a line beyond MaxLine. It has been read to its end
// within the cap of maxDrain, so the connection can go on.
var ErrTooLong = errors.New("line too long")

// maxDrain is how much of an overlong line is swallowed before the peer is
// given up.
const maxDrain = 1 << 20

// outSize lets the answers to a few pipelined RETRs go out in one write.
const outSize = 64 << 10

// Pools holds the buffers of many connections.
type Pools struct{ in, out, chunks sync.Pool }

// NewPools makes empty pools.
func NewPools() *Pools {
	return &Pools{
		in:  sync.Pool{New: func() any { return bufio.NewReaderSize(nil, MaxLine) }},
		out: sync.Pool{New: func() any { return bufio.NewWriterSize(nil, outSize) }},
	}
}

// Conn is one POP3 connection. It is used by one goroutine.
type Conn struct {
	net    net.Conn
	pools  *Pools
	in     *bufio.Reader
	out    *bufio.Writer
	before []byte // to be read before the connection's own bytes

	// Wait, if set, blocks until the connection is readable; it is called
	// while no buffer is held. Its error ends the read.
	Wait func() error
	// Done, once closed, ends waiting reads: its owner also sets a read
	// deadline in the past, and this field closes the race between the two.
	Done <-chan struct{}
	// ReadTimeout and WriteTimeout bound one wait for the peer.
	ReadTimeout, WriteTimeout time.Duration

	BytesIn, BytesOut int64
}

// NewConn starts on c; buffered bytes are read before the connection's own.
func NewConn(c net.Conn, pools *Pools, buffered []byte) *Conn {
	return &Conn{net: c, pools: pools, before: buffered, ReadTimeout: 10 * time.Minute, WriteTimeout: 5 * time.Minute}
}

func (c *Conn) takeIn() {
	c.in = c.pools.in.Get().(*bufio.Reader)
	c.in.Reset(source{c})
}

// source is what the input buffer reads from.
type source struct{ c *Conn }

func (s source) Read(p []byte) (int, error) {
	if len(s.c.before) == 0 {
		return s.c.net.Read(p)
	}
	n := copy(p, s.c.before)
	if s.c.before = s.c.before[n:]; len(s.c.before) == 0 {
		s.c.before = nil
	}
	return n, nil
}

func (c *Conn) takeOut() {
	c.out = c.pools.out.Get().(*bufio.Writer)
	c.out.Reset(c.net)
}

// ReadLine returns the next line without its end, valid until the next read.
// A bare LF ends a line too, as in Dovecot. Pending output is flushed before
// the read would wait.
func (c *Conn) ReadLine() ([]byte, error) {
	if err := c.await(); err != nil {
		return nil, err
	}
	line, err := c.in.ReadSlice('\n')
	c.BytesIn += int64(len(line))
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, c.drain()
	}
	if err != nil {
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

// await flushes and gives the buffers back while nothing is buffered, then
// waits for input under the read timeout.
func (c *Conn) await() error {
	if c.Buffered() {
		if c.in == nil {
			c.takeIn()
		}
		return nil
	}
	if err := c.Flush(); err != nil {
		return err
	}
	if err := c.net.SetReadDeadline(time.Now().Add(c.ReadTimeout)); err != nil {
		return err
	}
	select {
	case <-c.Done:
		return os.ErrDeadlineExceeded
	default:
	}
	if c.Wait != nil {
		c.releaseIn()
		if err := c.Wait(); err != nil {
			return err
		}
	}
	if c.in == nil {
		c.takeIn()
	}
	return nil
}

func (c *Conn) drain() error {
	for total := c.in.Size(); total < maxDrain; {
		part, err := c.in.ReadSlice('\n')
		c.BytesIn += int64(len(part))
		if err == nil {
			return ErrTooLong
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		total += len(part)
	}
	return fmt.Errorf("endless line: %w", io.ErrUnexpectedEOF)
}

// Buffered reports whether the client has pipelined more input.
func (c *Conn) Buffered() bool { return c.in != nil && c.in.Buffered() > 0 || len(c.before) > 0 }

// Unread returns a copy of the input that was received and not yet read, and
// gives the input buffer back.
func (c *Conn) Unread() []byte {
	var rest []byte
	if c.in != nil {
		b, _ := c.in.Peek(c.in.Buffered())
		rest = append(rest, b...)
	}
	rest = append(rest, c.before...)
	c.before = nil
	c.releaseIn()
	return rest
}

// Printf writes one reply line; CRLF is added and stray line ends in the
// text are blanked, so that no text can forge a reply.
func (c *Conn) Printf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if strings.ContainsAny(text, "\r\n") {
		text = strings.NewReplacer("\r", " ", "\n", " ").Replace(text)
	}
	c.Line([]byte(text))
}

// Line writes one reply line that has no line end in it.
func (c *Conn) Line(text []byte) {
	c.write(text)
	c.write([]byte("\r\n"))
}

func (c *Conn) write(b []byte) {
	if c.out == nil {
		c.takeOut()
	}
	if c.out.Available() < len(b) {
		_ = c.net.SetWriteDeadline(time.Now().Add(c.WriteTimeout))
	}
	n, _ := c.out.Write(b) // an error sticks to the writer and comes out of Flush
	c.BytesOut += int64(n)
}

// Flush sends what was written and gives the output buffer back.
func (c *Conn) Flush() error {
	if c.out == nil {
		return nil
	}
	_ = c.net.SetWriteDeadline(time.Now().Add(c.WriteTimeout))
	err := c.out.Flush()
	c.out.Reset(nil)
	c.pools.out.Put(c.out)
	c.out = nil
	return err
}

func (c *Conn) releaseIn() {
	if c.in != nil {
		c.in.Reset(nil)
		c.pools.in.Put(c.in)
		c.in = nil
	}
}

// Release gives every buffer back. The connection stays open.
func (c *Conn) Release() {
	_ = c.Flush()
	c.releaseIn()
}

// Swap goes on with another connection (after STLS): received plaintext is
// dropped (RFC 2595 section 4; "NO STARTTLS" attacks).
func (c *Conn) Swap(to net.Conn) {
	c.Release()
	c.net, c.before = to, nil
}

// Net is the connection itself.
func (c *Conn) Net() net.Conn { return c.net }
