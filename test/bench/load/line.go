package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// patience is how long a client waits for its server in all.
const patience = 10 * time.Minute

// Options of a client.
type Options struct {
	TLS    bool // from the first byte; the certificate is not looked at
	Buffer int  // bytes for reading; 0: 64 KiB
}

// conn is what the clients have in common: lines.
type conn struct {
	nc net.Conn
	r  *bufio.Reader
	// Bytes is how much the last command's answer had.
	Bytes int64
}

func dial(address string, o Options) (conn, error) {
	network := "tcp"
	if strings.Contains(address, "/") {
		network = "unix"
	}
	nc, err := net.Dial(network, address)
	if err != nil {
		return conn{}, err
	}
	_ = nc.SetDeadline(time.Now().Add(patience))
	if o.TLS {
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the server is our own
	}
	if o.Buffer == 0 {
		o.Buffer = 64 << 10
	}
	return conn{nc: nc, r: bufio.NewReaderSize(nc, o.Buffer)}, nil
}

// Close hangs up.
func (c *conn) Close() { _ = c.nc.Close() }

// line reads one line, CRLF included. It is valid until the next read. Of a line
// longer than the buffer the end is returned.
func (c *conn) line() ([]byte, error) {
	for {
		l, err := c.r.ReadSlice('\n')
		c.Bytes += int64(len(l))
		if !errors.Is(err, bufio.ErrBufferFull) {
			return l, err
		}
	}
}

func (c *conn) skip(n int64) error {
	c.Bytes += n
	for n > 0 {
		k, err := c.r.Discard(int(min(n, 1<<20)))
		n -= int64(k)
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) writeString(format string, args ...any) error {
	_, err := io.WriteString(c.nc, fmt.Sprintf(format, args...))
	return err
}

// multiline skips the lines up to the one with a dot, and counts them.
func (c *conn) multiline() (lines int, err error) {
	for {
		l, err := c.line()
		if err != nil || bytes.Equal(l, []byte(".\r\n")) {
			return lines, err
		}
		lines++
	}
}
