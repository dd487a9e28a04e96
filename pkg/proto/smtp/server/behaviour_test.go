package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// dialogue is a client for tests that need more than a transcript.
type dialogue struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

func talk(t testing.TB, conn net.Conn) *dialogue {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &dialogue{t: t, conn: conn, in: bufio.NewReader(conn)}
}

func (d *dialogue) send(text string) {
	d.t.Helper()
	if _, err := io.WriteString(d.conn, text); err != nil {
		d.t.Fatal(err)
	}
}

// expect reads one reply of any number of lines and wants it to begin so.
func (d *dialogue) expect(prefix string) {
	d.t.Helper()
	for {
		line, err := d.in.ReadString('\n')
		if err != nil {
			d.t.Fatalf("waiting for %q: %q %v", prefix, line, err)
		}
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, prefix) {
			d.t.Fatalf("got %q, want %q", line, prefix)
		}
		return
	}
}

func (d *dialogue) closed() {
	d.t.Helper()
	if rest, err := io.ReadAll(d.in); err != nil || len(rest) > 0 {
		d.t.Fatalf("not closed: %q %v", rest, err)
	}
}

func simpleServer(t testing.TB, options map[string]string) (*Server, chan string) {
	t.Helper()
	records := make(chan string, 10000)
	s, err := New(configure(t, options, records))
	if err != nil {
		t.Fatal(err)
	}
	return s, records
}

// An idle session is told to go at once; one in a transaction may end it.
func TestDrain(t *testing.T) {
	for name, secure := range map[string]bool{"clear": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			options := map[string]string{}
			if secure {
				options["tls"] = "implicit"
			}
			s, _ := simpleServer(t, options)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			open := func() *dialogue {
				conn, _ := serve(t, ctx, s)
				if secure {
					_, pool := certificate()
					conn = tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "mx.test"})
				}
				d := talk(t, conn)
				d.expect("220 ")
				d.send("EHLO c\r\n")
				d.expect("250 ")
				return d
			}
			idle, envelope, data := open(), open(), open()
			for _, d := range []*dialogue{envelope, data} {
				d.send("MAIL FROM:<a@b.example>\r\nRCPT TO:<b@b.example>\r\n")
				d.expect("250 2.1.0")
				d.expect("250 2.1.5")
			}
			data.send("DATA\r\n")
			data.expect("354 ")
			data.send("one\r\n")
			cancel()
			idle.expect("421 4.3.2 mx.test Service shutting down")
			idle.closed()
			data.send("two\r\n.\r\n")
			data.expect("250 2.0.0")
			data.expect("421 4.3.2")
			data.closed()
			envelope.send("DATA\r\n")
			envelope.expect("354 ")
			envelope.send("x\r\n.\r\n")
			envelope.expect("250 2.0.0")
			envelope.expect("421 4.3.2")
			envelope.closed()
		})
	}
}

// A session that draining left in its transaction still has its time limit.
func TestDrainTimeout(t *testing.T) {
	s, records := simpleServer(t, map[string]string{"timeout": "200"})
	ctx, cancel := context.WithCancel(context.Background())
	d := talk(t, serveAfter(t, ctx, s, "MAIL"))
	d.expect("220 ")
	d.send("EHLO c\r\n")
	d.expect("250 ")
	d.send("MAIL FROM:<a@b.example>\r\n")
	d.expect("250 ")
	cancel()
	d.expect("421 4.4.2")
	d.closed()
	for r := range records {
		if strings.HasPrefix(r, "close ") {
			if !strings.HasPrefix(r, "close timeout after MAIL") {
				t.Error(r)
			}
			return
		}
	}
}

type panicky struct{ nobody }

func (panicky) Message(context.Context, *Transaction, io.Reader) Result { panic("hook") }

// A panic of a hook leaves through Serve, which closes the connection first.
func TestPanicClosesConnection(t *testing.T) {
	cfg := Default()
	cfg.Hostname = "mx.test"
	cfg.Accept = func(context.Context, *Conn) (Session, Reply) { return panicky{}, Reply{} }
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	client, server := connPair(t)
	defer client.Close()
	caught := make(chan any)
	go func() {
		defer func() { caught <- recover() }()
		s.Serve(context.Background(), server)
	}()
	d := talk(t, client)
	d.expect("220 ")
	d.send("EHLO c\r\n")
	d.expect("250 ")
	d.send("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n")
	d.expect("250 ")
	d.expect("250 ")
	d.expect("354 ")
	d.send("x\r\n.\r\n")
	if v := <-caught; v != "hook" {
		t.Fatal(v)
	}
	if _, err := d.in.ReadByte(); err == nil {
		t.Error("the connection is open")
	}
}

// Content must come at the minimum rate, however small the gaps.
func TestMinimumRate(t *testing.T) {
	s, records := simpleServer(t, map[string]string{"timeout": "200", "rate": "1000"})
	conn := serveAfter(t, context.Background(), s, "DATA")
	d := talk(t, conn)
	d.expect("220 ")
	d.send("EHLO c\r\n")
	d.expect("250 ")
	d.send("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n")
	d.expect("250 ")
	d.expect("250 ")
	d.expect("354 ")
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for { // 50 octets a second: one read in time for each limit on its own
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	d.expect("421 4.4.2")
	conn.Close()
	<-stop
	for r := range records {
		if strings.HasPrefix(r, "close ") {
			if !strings.HasPrefix(r, "close timeout after DATA") {
				t.Error(r)
			}
			return
		}
	}
}

// commands is a Recorder of what the client says.
type commands []string

func (c *commands) In(line string) { *c = append(*c, line) }
func (c *commands) Out(string)     {}

// A transcript has each command, also the one to each chunk, and no content.
func TestTranscriptOfChunks(t *testing.T) {
	s, _ := simpleServer(t, nil)
	var record commands
	s.cfg.Policy.Record = &record
	conn, done := serve(t, context.Background(), s)
	d := talk(t, conn)
	d.expect("220 ")
	const said = "EHLO c|MAIL FROM:<>|RCPT TO:<a@b.example>|BDAT 1|NOOP|BDAT 1|BDAT 2 LAST|QUIT"
	for line := range strings.SplitSeq(said, "|") {
		content := map[string]string{"BDAT 1": "x", "BDAT 2 LAST": "\r\n"}[line]
		d.send(line + "\r\n" + content)
		d.expect("2")
	}
	d.closed()
	<-done
	if got := strings.Join(record, "|"); got != said {
		t.Errorf("got  %s\nwant %s", got, said)
	}
}

// Chunks of one octet begin no new time limit: the message as a whole has to
// come at the rate.
func TestMinimumRateOfChunks(t *testing.T) {
	s, records := simpleServer(t, map[string]string{"timeout": "200", "rate": "1000"})
	conn := serveAfter(t, context.Background(), s, "BDAT")
	d := talk(t, conn)
	d.expect("220 ")
	d.send("EHLO c\r\n")
	d.expect("250 ")
	d.send("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n")
	d.expect("250 ")
	d.expect("250 ")
	go func() {
		for {
			if _, err := io.WriteString(conn, "BDAT 1\r\nx"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	for r := range records {
		if strings.HasPrefix(r, "close ") {
			if !strings.HasPrefix(r, "close timeout after BDAT") {
				t.Error(r)
			}
			return
		}
	}
}

// A command line that comes by drips has one time limit, also after content,
// which earns time octet by octet.
func TestDripAfterContent(t *testing.T) {
	s, _ := simpleServer(t, map[string]string{"timeout": "300"})
	conn := serveAfter(t, context.Background(), s, "\r\n.\r\n")
	d := talk(t, conn)
	d.expect("220 ")
	d.send("EHLO c\r\n")
	d.expect("250 ")
	d.send("MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\n")
	d.expect("250 ")
	d.expect("250 ")
	d.expect("354 ")
	d.send(".\r\n")
	d.expect("250 ")
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for {
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
			time.Sleep(30 * time.Millisecond)
		}
	}()
	d.expect("421 4.4.2")
	conn.Close()
	<-stop
}

// The banner of a client that Accept delays is not sent before its time, and
// a client that waits for it is no early talker.
func TestEarlyTalkerWaits(t *testing.T) {
	cfg := Default()
	cfg.Hostname = "mx.test"
	early := make(chan bool, 1)
	cfg.Accept = func(_ context.Context, c *Conn) (Session, Reply) {
		early <- c.EarlyTalker(50 * time.Millisecond)
		return nobody{}, Reply{}
	}
	d := talk(t, start(t, cfg))
	d.expect("220 ")
	if <-early {
		t.Error("taken for an early talker")
	}
	d.send("EHLO c\r\n")
	d.expect("250 ")
}

// Past the soft limit each reply takes its time, the good ones too.
func TestErrorDelay(t *testing.T) {
	const delay = 30 * time.Millisecond
	cfg := configure(t, map[string]string{"soft": "2"}, make(chan string, 100))
	cfg.Timeouts.ErrorDelay = delay
	d := talk(t, start(t, cfg))
	d.expect("220 ")
	d.send("FOO\r\n")
	d.expect("500 ")
	for _, command := range []string{"FOO", "NOOP"} {
		before := time.Now()
		d.send(command + "\r\n")
		d.expect("")
		if took := time.Since(before); took < delay {
			t.Errorf("%s was answered after %v", command, took)
		}
	}
}

func TestProtocolKeyword(t *testing.T) {
	secure := &tls.ConnectionState{}
	for _, c := range []struct {
		conn Conn
		utf8 bool
		want string
	}{
		{Conn{Verb: "HELO"}, false, "SMTP"},
		{Conn{Verb: "EHLO"}, false, "ESMTP"},
		{Conn{Verb: "EHLO", TLS: secure}, false, "ESMTPS"},
		{Conn{Verb: "EHLO", TLS: secure, User: "u"}, false, "ESMTPSA"},
		{Conn{Verb: "EHLO", User: "u"}, true, "UTF8SMTPA"},
		{Conn{Verb: "LHLO", Mode: LMTP}, false, "LMTP"},
		{Conn{Verb: "LHLO", Mode: LMTP, TLS: secure}, true, "UTF8LMTPS"},
	} {
		if got := c.conn.Protocol(c.utf8); got != c.want {
			t.Errorf("%+v: %s, want %s", c.conn, got, c.want)
		}
	}
}

// Replies of a long group leave in few writes.
func TestRepliesAreBatched(t *testing.T) {
	client, server := connPair(t)
	s, _ := simpleServer(t, nil)
	counted := &countingConn{Conn: server}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(context.Background(), counted) }()
	d := talk(t, client)
	d.expect("220 ")
	d.send("EHLO c\r\n")
	d.expect("250 ")
	before := counted.writes
	d.send("MAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<a@b.example>\r\n", 100) + "QUIT\r\n")
	d.expect("250 2.1.0")
	for range 100 {
		d.expect("250 2.1.5")
	}
	d.expect("221 ")
	client.Close()
	<-done
	if n := counted.writes - before; n > 3 {
		t.Errorf("%d writes for 102 replies", n)
	}
}

type countingConn struct {
	net.Conn
	writes int
}

func (c *countingConn) Write(b []byte) (int, error) { c.writes++; return c.Conn.Write(b) }

// A connection that waits for a command holds no read buffer, in the clear and
// under TLS: 32 KiB each would show.
func TestIdleHoldsNoBuffer(t *testing.T) {
	const conns = 100
	for name, c := range map[string]struct {
		options map[string]string
		each    int64 // octets of heap
	}{
		"clear": {nil, 10 << 10},
		"TLS":   {map[string]string{"tls": "implicit"}, 24 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := simpleServer(t, c.options)
			before := heap()
			for range conns {
				conn, _ := serve(t, context.Background(), s)
				if c.options != nil {
					_, pool := certificate()
					conn = tls.Client(conn, &tls.Config{RootCAs: pool, ServerName: "mx.test"})
				}
				d := &dialogue{t: t, conn: conn, in: bufio.NewReaderSize(conn, 512)}
				d.expect("220 ")
				d.send("EHLO c\r\n")
				d.expect("250 ")
			}
			used := (heap() - before) / conns
			t.Logf("%d octets of heap for each idle connection", used)
			if used > c.each {
				t.Errorf("%d octets of heap for each idle connection, want at most %d", used, c.each)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // what a sync.Pool holds goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// moreSession writes down Transaction.More of each recipient.
type moreSession struct {
	Session
	more chan bool
}

func (s moreSession) Rcpt(ctx context.Context, tx *Transaction, rcpt Recipient) Verdict {
	s.more <- tx.More
	return s.Session.Rcpt(ctx, tx, rcpt)
}

// A session hears whether another recipient is there already, which decides
// whether it is worth to look one up beside the other.
func TestMoreRecipients(t *testing.T) {
	more := make(chan bool, 10)
	cfg := configure(t, nil, make(chan string, 100))
	accept := cfg.Accept
	cfg.Accept = func(ctx context.Context, c *Conn) (Session, Reply) {
		s, r := accept(ctx, c)
		return moreSession{s, more}, r
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(context.Background(), there)
	}()
	d := talk(t, here)
	d.expect("220")
	d.send("EHLO c.test\r\n")
	d.expect("250")
	for _, step := range []struct {
		group string
		want  []bool
	}{
		{"MAIL FROM:<a@b.test>\r\nRCPT TO:<a@c.test>\r\nrcpt TO:<b@c.test>\r\nRCPT TO:<c@c.test>\r\nNOOP\r\n", []bool{true, true, false}},
		{"RCPT TO:<d@c.test>\r\n", []bool{false}},
		{"RCPT TO:<e@c.test>\r\nRCPT", []bool{false}},
		{" TO:<f@c.test>\r\nRSET\r\n", []bool{false}},
	} {
		d.send(step.group)
		for range strings.Count(step.group, "\n") {
			d.expect("250")
		}
		for i, want := range step.want {
			if got := <-more; got != want {
				t.Errorf("%q, recipient %d: more is %v", step.group, i, got)
			}
		}
	}
	here.Close()
	<-done
}
