package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// maxAnswer caps one value of an answer.
const maxAnswer = 16 << 20

// Client is an operator's end of a control connection. It is not safe for
// concurrent use.
type Client struct {
	conn net.Conn
	in   *bufio.Reader
}

// Dial connects to a daemon's control socket.
func Dial(ctx context.Context, socket string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "control socket %s (is the daemon running, and may you connect?)", socket)
	}
	return NewClient(conn), nil
}

// NewClient speaks on a connection that exists already.
func NewClient(conn net.Conn) *Client {
	return &Client{conn: conn, in: bufio.NewReaderSize(conn, 32<<10)}
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Each sends a request and hands over every value of the answer as it
// arrives. The daemon's error keeps its kind. An error of fn ends the call
// and the connection, as does the end of ctx.
func (c *Client) Each(ctx context.Context, verb string, args []string, fn func(json.RawMessage) error) error {
	request, err := appendRequest(nil, verb, args)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := c.conn.Write(request); err != nil {
		return c.broken(ctx, verb, err)
	}
	return c.answer(ctx, verb, fn)
}

// answer reads values up to the empty line. A line that looks like a failure
// is one only when it is the last, so it is held back by one line.
func (c *Client) answer(ctx context.Context, verb string, fn func(json.RawMessage) error) error {
	var held []byte
	var failed error
	for {
		line, err := c.line()
		if err != nil {
			return c.broken(ctx, verb, err)
		}
		if len(line) == 0 {
			return failed
		}
		if failed != nil {
			if err := fn(held); err != nil {
				return c.drop(err)
			}
		}
		if failed = parseFailure(line); failed != nil {
			held = line
			continue
		}
		if !looksJSON(line[0]) {
			return c.drop(fail.New(fail.Invalid, "the answer to %s is not JSON: %.80q", verb, line))
		}
		if err := fn(line); err != nil {
			return c.drop(err)
		}
	}
}

// looksJSON tells a value from what is no answer at all, by its first byte.
// Whoever decodes the value sees the rest; a long list is not read twice.
func looksJSON(first byte) bool {
	return strings.IndexByte("{[\"-0123456789tfn", first) >= 0
}

// line reads one line of at most maxAnswer bytes; the bytes are the caller's.
func (c *Client) line() ([]byte, error) {
	var whole []byte
	for {
		part, err := c.in.ReadSlice('\n')
		whole = append(whole, part...)
		switch {
		case err == nil:
			return bytes.TrimSuffix(whole, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(whole) > maxAnswer:
			return nil, fail.New(fail.Invalid, "a line is longer than %d bytes", maxAnswer)
		}
	}
}

// drop closes the connection, since the rest of an answer is still in it.
func (c *Client) drop(err error) error {
	c.conn.Close()
	return err
}

func (c *Client) broken(ctx context.Context, verb string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return c.drop(fail.Wrap(fail.Unavailable, err, "control connection, %s", verb))
}

// One sends a request and decodes the first value of the answer into into,
// which may be nil when only success matters.
func (c *Client) One(ctx context.Context, into any, verb string, args ...string) error {
	seen := false
	err := c.Each(ctx, verb, args, func(raw json.RawMessage) error {
		if seen || into == nil {
			return nil
		}
		seen = true
		return json.Unmarshal(raw, into)
	})
	if err == nil && !seen && into != nil {
		return fail.New(fail.Invalid, "the answer to %s is empty", verb)
	}
	return err
}
