package tcptable

import (
	"bufio"
	"context"
	"io"
	"net"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
	"github.com/postcote/postcote/pkg/platform/netx"
)

// timeout: Postfix waits 100 s for an answer, for which no client of ours does.
const timeout = 10 * time.Second

// table is one server.
type table struct{ server netx.Asker }

// Open reads "host:port". Postfix does not change the case of keys for these
// tables, and so neither do we. The table is an io.Closer.
func Open(name string, _ lookup.Options) (lookup.Table, error) {
	host, port, err := net.SplitHostPort(name)
	if err != nil || host == "" || port == "" {
		return nil, fail.New(fail.Invalid, "%.80q is not host:port", name)
	}
	return &table{netx.Asker{Network: "tcp", Address: name, Buffer: maxLine}}, nil
}

// Patterned: the server is told the whole key, once.
func (*table) Patterned() bool { return true }

// Close ends idle connections; questions under way go on.
func (t *table) Close() error {
	t.server.Close()
	return nil
}

// Lookup is lookup.Table's.
func (t *table) Lookup(ctx context.Context, key string) (string, error) {
	line, ok := request(key)
	if !ok {
		return "", fail.New(fail.NotFound, "tcp:%s: a key of %d bytes is longer than any", t.server.Address, len(key))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	reply, err := t.server.Ask(ctx, func(w io.Writer, r *bufio.Reader) (string, error) { return exchange(w, r, line) })
	if err != nil {
		return "", fail.Wrap(fail.Unavailable, err, "tcp:%s", t.server.Address)
	}
	return t.answer(reply)
}

func (t *table) answer(reply string) (string, error) {
	value, err := understand(reply)
	return value, fail.Wrap(fail.KindOf(err), err, "tcp:%s", t.server.Address)
}

// Check connects.
func (t *table) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", t.server.Address)
	if err != nil {
		return fail.Wrap(fail.Unavailable, err, "tcp:%s", t.server.Address)
	}
	return c.Close()
}

// exchange: a reply that is longer than the buffer is an error of ReadSlice.
func exchange(w io.Writer, r *bufio.Reader, line string) (string, error) {
	if _, err := io.WriteString(w, line); err != nil {
		return "", err
	}
	reply, err := r.ReadSlice('\n')
	return strings.TrimSuffix(string(reply), "\n"), err
}
