package socketmap

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// Table is one map of one server, "unix:/path:name" or "inet:host:port:name"
// as Postfix writes it after "socketmap:". It is safe for concurrent use.
type Table struct {
	server  netx.Asker
	name    string
	timeout time.Duration
}

// buffer is room for most replies.
const buffer = 512

// ParseTable reads a table's name. Errors: fail.Invalid.
func ParseTable(spec string, timeout time.Duration) (*Table, error) {
	i := strings.LastIndexByte(spec, ':')
	if i < 0 || spec[i+1:] == "" || strings.ContainsAny(spec[i+1:], " /") {
		return nil, fail.New(fail.Invalid, "socketmap %q: write unix:/path:name or inet:host:port:name", spec)
	}
	t := &Table{server: netx.Asker{Buffer: buffer}, name: spec[i+1:], timeout: timeout}
	var ok bool
	if t.server.Address, ok = strings.CutPrefix(spec[:i], "unix:"); ok && strings.HasPrefix(t.server.Address, "/") {
		t.server.Network = "unix"
		return t, nil
	}
	if t.server.Address, ok = strings.CutPrefix(spec[:i], "inet:"); ok {
		if _, _, err := net.SplitHostPort(t.server.Address); err == nil {
			t.server.Network = "tcp"
			return t, nil
		}
	}
	return nil, fail.New(fail.Invalid, "socketmap %q: write unix:/path:name or inet:host:port:name", spec)
}

// Close ends idle connections; questions under way go on.
func (t *Table) Close() { t.server.Close() }

// Lookup asks for a key. Errors: fail.NotFound when the server says so, else
// fail.Unavailable.
func (t *Table) Lookup(ctx context.Context, key string) (string, error) {
	if len(t.name)+1+len(key) > MaxRequest {
		return "", fail.New(fail.NotFound, "socketmap %s: key of %d bytes is longer than any", t.name, len(key))
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	request := Append(nil, t.name+" "+key)
	reply, err := t.server.Ask(ctx, func(w io.Writer, r *bufio.Reader) (string, error) {
		if _, err := w.Write(request); err != nil {
			return "", err
		}
		return Read(r, MaxReply)
	})
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "socketmap %s", t.server.Address)
	}
	return t.understand(reply)
}

func (t *Table) understand(reply string) (string, error) {
	word, text, _ := strings.Cut(reply, " ")
	switch word {
	case "OK":
		return text, nil
	case "NOTFOUND":
		return "", fail.New(fail.NotFound, "socketmap %s: not found", t.name)
	}
	return "", fail.New(fail.Unavailable, "socketmap %s at %s: %.20s %.200s", t.name, t.server.Address, word, text)
}
