package helper

import (
	"context"
	"net"
	"time"

	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// Answer is what a helper knows of a user.
type Answer struct {
	User   string // canonical name
	Fields dovecotauth.Fields
}

// Refusal is a helper's FAIL.
type Refusal string

// The words after FAIL.
const (
	Mismatch Refusal = "mismatch"
	Unknown  Refusal = "unknown"
	Disabled Refusal = "disabled"
	Expired  Refusal = "expired"
)

func (r Refusal) Error() string { return string(r) }

func (r Refusal) known() bool {
	return r == Mismatch || r == Unknown || r == Disabled || r == Expired
}

// Client asks one helper. It is safe for concurrent use.
type Client struct {
	socket  string
	timeout time.Duration
	slots   chan struct{}
}

// NewClient asks the helper behind a Unix socket, at most limit requests at a
// time, each for at most timeout.
func NewClient(socket string, timeout time.Duration, limit int) *Client {
	return &Client{socket: socket, timeout: timeout, slots: make(chan struct{}, max(limit, 1))}
}

// Auth checks a password. Errors: a Refusal in the chain, else an outage.
func (c *Client) Auth(ctx context.Context, service string, r *request.Request, user, password string) (Answer, error) {
	params := []string{service, user, password}
	for _, name := range []string{"rip", "lip", "session"} {
		if v, _ := r.Var(name); v != "" {
			params = append(params, name+"="+v)
		}
	}
	return c.ask(ctx, dovecotauth.AppendLine(nil, "AUTH", params...))
}

// User asks where a user lives: fields uid, gid, home. Errors as Auth.
func (c *Client) User(ctx context.Context, user string) (Answer, error) {
	return c.ask(ctx, dovecotauth.AppendLine(nil, "USER", user))
}

func (c *Client) ask(ctx context.Context, line []byte) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return Answer{}, fail.Wrap(fail.Unavailable, ctx.Err(), "helper %s: all slots are busy", c.socket)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.socket)
	if err != nil {
		return Answer{}, fail.Wrap(fail.Unavailable, err, "helper")
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(line); err != nil {
		return Answer{}, fail.Wrap(fail.Unavailable, err, "helper %s", c.socket)
	}
	reply, err := dovecotauth.NewReader(conn).Next()
	if err != nil {
		return Answer{}, fail.Wrap(fail.Unavailable, err, "helper %s ended without an answer", c.socket)
	}
	return c.understand(reply)
}

func (c *Client) understand(l dovecotauth.Line) (Answer, error) {
	switch r := Refusal(l.Param(0)); {
	case l.Verb == "OK" && l.Param(0) != "":
		return Answer{User: l.Param(0), Fields: l.Fields(1)}, nil
	case l.Verb == "FAIL" && r.known():
		return Answer{}, fail.Wrap(fail.Denied, r, "")
	case l.Verb == "TEMP":
		return Answer{}, fail.New(fail.Unavailable, "helper %s: %.200s", c.socket, l.Param(0))
	}
	return Answer{}, fail.New(fail.Unavailable, "helper %s answered %.40q", c.socket, l.Verb)
}
