package socketmap

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Table is one map of one server, "unix:/path:name" or "inet:host:port:name"
// as Postfix writes it after "socketmap:". It is safe for concurrent use.
type Table struct {
	network, address, name string
	timeout                time.Duration

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

const (
	maxIdle  = 8
	idleLife = 30 * time.Second // the server, or Postfix's proxy, may hang up after a while
)

// conn is one connection between two questions.
type conn struct {
	net.Conn
	r    *bufio.Reader
	last time.Time
}

// ParseTable reads a table's name. Errors: fail.Invalid.
func ParseTable(spec string, timeout time.Duration) (*Table, error) {
	i := strings.LastIndexByte(spec, ':')
	if i < 0 || spec[i+1:] == "" || strings.ContainsAny(spec[i+1:], " /") {
		return nil, fail.New(fail.Invalid, "socketmap %q: write unix:/path:name or inet:host:port:name", spec)
	}
	t := &Table{name: spec[i+1:], timeout: timeout}
	var ok bool
	if t.address, ok = strings.CutPrefix(spec[:i], "unix:"); ok && strings.HasPrefix(t.address, "/") {
		t.network = "unix"
		return t, nil
	}
	if t.address, ok = strings.CutPrefix(spec[:i], "inet:"); ok {
		if _, _, err := net.SplitHostPort(t.address); err == nil {
			t.network = "tcp"
			return t, nil
		}
	}
	return nil, fail.New(fail.Invalid, "socketmap %q: write unix:/path:name or inet:host:port:name", spec)
}

// Close ends idle connections; questions under way go on.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, c := range t.idle {
		_ = c.Close()
	}
	t.idle = nil
}

// Lookup asks for a key. Errors: fail.NotFound when the server says so, else
// fail.Unavailable. A connection that the server closed while it was idle is
// replaced.
func (t *Table) Lookup(ctx context.Context, key string) (string, error) {
	if len(t.name)+1+len(key) > MaxRequest {
		return "", fail.New(fail.NotFound, "socketmap %s: key of %d bytes is longer than any", t.name, len(key))
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	request := Append(nil, t.name+" "+key)
	if c := t.take(); c != nil {
		reply, err := t.ask(ctx, c, request)
		if err == nil {
			return t.understand(reply)
		}
		if ctx.Err() != nil || errors.Is(err, errNonsense) {
			return "", fail.Wrap(fail.Unavailable, err, "socketmap %s", t.address)
		}
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, t.network, t.address)
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "socketmap")
	}
	reply, err := t.ask(ctx, &conn{Conn: nc, r: bufio.NewReaderSize(nc, 512)}, request)
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "socketmap %s", t.address)
	}
	return t.understand(reply)
}

func (t *Table) take() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	for n := len(t.idle); n > 0; n = len(t.idle) {
		c := t.idle[n-1]
		t.idle = t.idle[:n-1]
		if time.Since(c.last) < idleLife {
			return c
		}
		_ = c.Close()
	}
	return nil
}

// errNonsense is a reply that is no netstring: asking again would not help.
var errNonsense = errors.New("reply is not understood")

// ask uses c for one question and keeps it for the next if all went well.
func (t *Table) ask(ctx context.Context, c *conn, request []byte) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	reply, err := exchange(c, request)
	if !stop() || err != nil || c.r.Buffered() > 0 {
		_ = c.Close()
		return reply, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.idle) >= maxIdle {
		_ = c.Close()
		return reply, nil
	}
	c.last = time.Now()
	t.idle = append(t.idle, c)
	return reply, nil
}

func exchange(c *conn, request []byte) (string, error) {
	if _, err := c.Write(request); err != nil {
		return "", err
	}
	reply, err := Read(c.r, MaxReply)
	if fail.Is(err, fail.Invalid) {
		err = errors.Join(errNonsense, err)
	}
	return reply, err
}

func (t *Table) understand(reply string) (string, error) {
	word, text, _ := strings.Cut(reply, " ")
	switch word {
	case "OK":
		return text, nil
	case "NOTFOUND":
		return "", fail.New(fail.NotFound, "socketmap %s: not found", t.name)
	}
	return "", fail.New(fail.Unavailable, "socketmap %s at %s: %.20s %.200s", t.name, t.address, word, text)
}
