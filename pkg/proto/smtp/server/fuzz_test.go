package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// canned is a client that says what it has to say and closes its side.
type canned struct {
	lines []string // the beginning, a line at a time
	in    *bytes.Reader
	step  int // octets per read of the rest
	out   bytes.Buffer
}

func (c *canned) Read(p []byte) (int, error) {
	if len(c.lines) > 0 {
		n := copy(p, c.lines[0])
		c.lines = c.lines[1:]
		return n, nil
	}
	return c.in.Read(p[:min(c.step, len(p))])
}

func (c *canned) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *canned) Close() error                     { return nil }
func (c *canned) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *canned) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// guard is a Session that fails the test when the engine breaks its promises.
type guard struct {
	t      *testing.T
	conn   *Conn
	open   *Transaction // between Mail and Reset
	data   bool         // Data was asked
	closed bool
	rcpts  int
}

func (g *guard) must(ok bool, what string) {
	g.t.Helper()
	if !ok || g.closed {
		g.t.Fatalf("%s (closed: %v)", what, g.closed)
	}
}

func (g *guard) Helo(context.Context) Reply {
	g.must(g.open == nil, "HELO inside a transaction")
	return Reply{}
}

func (g *guard) Mail(_ context.Context, tx *Transaction) Verdict {
	g.must(g.open == nil && g.conn.Helo != "" && len(tx.Rcpts) == 0 && tx.Size == 0, "Mail out of place")
	g.open, g.data, g.rcpts = tx, false, 0
	if f := g.conn.Forward; f != nil {
		g.harmless(f.Name, f.Addr, f.Port, f.Proto, f.Helo, f.Ident)
	}
	return Say(scripted(tx.From.Local, ""))
}

// harmless: what a client says of itself, or of another, goes into logs.
func (g *guard) harmless(said ...string) {
	g.t.Helper()
	for _, s := range said {
		g.must(!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), "a control character is handed on")
	}
}

func (g *guard) Rcpt(_ context.Context, tx *Transaction, rcpt Recipient) Verdict {
	g.must(tx == g.open && !g.data && !rcpt.To.Null() && rcpt.Number > 0, "Rcpt out of place")
	r := scripted(rcpt.To.Local, "")
	if r.IsZero() || r.OK() {
		g.rcpts++
	}
	if strings.HasPrefix(rcpt.To.Local, "l") {
		ch := make(chan Reply, 1)
		ch <- r
		return Later(ch)
	}
	return Say(r)
}

func (g *guard) Data(_ context.Context, tx *Transaction) Verdict {
	g.must(tx == g.open && !g.data && len(tx.Rcpts) == g.rcpts && g.rcpts > 0, "Data out of place")
	g.data = true
	return Say(scripted(tx.From.Local, "data-"))
}

func (g *guard) Message(_ context.Context, tx *Transaction, content io.Reader) Result {
	g.must(tx == g.open && g.data, "Message out of place")
	var b []byte
	var err error
	if strings.HasPrefix(tx.From.Local, "early") {
		return Result{Verdict: Say(MakeReply(452, 4, 3, 1, "full"))}
	}
	b, err = io.ReadAll(content)
	g.must(tx == g.open, "the transaction was reset under Message")
	if text := strings.ReplaceAll(string(b), "\r\n", ""); strings.ContainsAny(text, "\r\n") {
		g.t.Fatalf("content has stray line ends: %q", b)
	}
	g.must(err != nil || len(b) == 0 || bytes.HasSuffix(b, []byte("\r\n")), "content ends inside a line")
	g.must(err != nil || int64(len(b)) == tx.Size, "the size is wrong")
	return Result{}
}

func (g *guard) Reset(tx *Transaction) {
	g.must(tx == g.open && tx != nil, "Reset out of place")
	g.open = nil
}

func (g *guard) Event(Event) { g.must(true, "Event") }

func (g *guard) Close(s Summary) {
	g.must(g.open == nil, "Close inside a transaction")
	g.closed = true
	if s.OK > s.Total || s.String() == "" {
		g.t.Fatalf("summary %+v", s)
	}
}

// The states that a fuzzed session begins in.
var prefixes = []struct {
	lmtp, auth, proxy bool
	text              string
}{
	{text: ""},
	{text: "EHLO c\r\n"},
	{text: "HELO c\r\n"},
	{text: "EHLO c\r\nMAIL FROM:<a@b>\r\n"},
	{text: "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"},
	{text: "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<late@d>\r\nDATA\r\n"},
	{text: "EHLO c\r\nMAIL FROM:<early@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"},
	{text: "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 3\r\nabc"},
	{text: "EHLO c\r\nMAIL FROM:<early@b>\r\nRCPT TO:<c@d>\r\nBDAT 3\r\nabc"},
	{text: "EHLO c\r\nAUTH LOGIN\r\n", auth: true},
	{text: "EHLO c\r\n", auth: true},
	{text: "EHLO c\r\n", proxy: true},
	{text: "XCLIENT ADDR=IPV6:::1 HELO=x LOGIN=y NAME=z\r\n", proxy: true},
	{text: "LHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@d>\r\n", lmtp: true},
}

// FuzzSession talks to a live server from each state. Whatever is said, hooks
// are called in order, and what comes back is replies.
func FuzzSession(f *testing.F) {
	for i := range prefixes {
		f.Add(uint8(i), uint8(64), false, []byte("MAIL FROM:<a@b>\r\nRCPT TO:<l@d>\r\nDATA\r\nx\r\n.\r\nBDAT 5 LAST\r\nhello\r\nRSET\r\nQUIT\r\n"))
		f.Add(uint8(i), uint8(90), true, []byte("XFORWARD NAME=a ADDR=IPV6:::1 IDENT=+41\r\nETRN @x\r\nMAIL FROM:<a@b>\r\nRSET\r\nXCLIENT HELO=x+41 LOGIN=y\r\nMAIL FROM:<a@b>\r\n"))
		f.Add(uint8(i), uint8(3), true, []byte("a\n.\r\n.\r\nAUTH PLAIN AGpvZQBzZWNyZXQ=\r\nEHLO x\r\nBDAT 0\r\nBDAT 2\r\n\r\n"))
	}
	f.Fuzz(func(t *testing.T, state, step uint8, loose bool, input []byte) {
		p := prefixes[int(state)%len(prefixes)]
		cfg := Default()
		cfg.Hostname = "mx.test"
		cfg.Timeouts.ErrorDelay = 0
		cfg.Policy.StrictSync = !loose
		cfg.Policy.Limits.MessageSize, cfg.Policy.Limits.Overrun = 1000, 1000
		cfg.Policy.Words.DSN = true
		if p.lmtp {
			cfg.Mode = LMTP
		}
		if p.auth {
			cfg.Auth, cfg.Policy.ClearAuth = logins{}, true
		}
		if p.proxy {
			cfg.Policy.XClient, cfg.Policy.XForward = true, true
			cfg.Etrn = func(context.Context, *Conn, string) Reply { return MakeReply(250, 2, 0, 0, "Queuing started") }
		}
		var g *guard
		cfg.Overridden = func(_ context.Context, c *Conn) Reply {
			g.must(p.proxy && g.open == nil, "XCLIENT out of place")
			g.harmless(c.Name, c.Reverse, c.Helo, c.User)
			return Reply{}
		}
		cfg.Accept = func(_ context.Context, c *Conn) (Session, Reply) {
			g = &guard{t: t, conn: c}
			return g, Reply{}
		}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		c := &canned{lines: strings.SplitAfter(strings.TrimSuffix(p.text, "\n"), "\n"), in: bytes.NewReader(input), step: int(step) + 1}
		if p.text == "" {
			c.lines = nil
		} else if strings.HasSuffix(p.text, "\n") {
			c.lines[len(c.lines)-1] += "\n"
		}
		s.Serve(context.Background(), c)
		if !g.closed {
			t.Fatal("Close was not called")
		}
		for line := range strings.Lines(c.out.String()) {
			if len(line) < 6 || !strings.HasSuffix(line, "\r\n") || line[0] < '2' || line[0] > '5' || line[3] != ' ' && line[3] != '-' {
				t.Fatalf("no reply: %q in %q", line, c.out.String())
			}
		}
	})
}
