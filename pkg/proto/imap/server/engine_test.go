package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// counting counts the writes of a session: each is a system call and, through
// the TLS pump, a record.
type counting struct {
	net.Conn
	writes *atomic.Int64
}

func (c counting) NetConn() net.Conn { return c.Conn }

func (c counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

func tcp(t testing.TB) (ours, theirs net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// talk runs a session on input, which ends with the connection, and returns
// what the server said.
func talk(t testing.TB, srv *Server, start Start, input string, wrap func(net.Conn) net.Conn) (string, Summary) {
	ours, theirs := tcp(t)
	if wrap != nil {
		ours = wrap(ours)
	}
	go func() {
		_, _ = io.WriteString(theirs, input)
		_ = theirs.(*net.TCPConn).CloseWrite()
	}()
	out := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(theirs)
		_ = theirs.Close()
		out <- string(b)
	}()
	sum := srv.Serve(context.Background(), ours, start)
	_ = ours.Close()
	return <-out, sum
}

// The structural defect of the library engine: a flush per line makes 10 000
// writes of a flags FETCH.
func TestOutputIsBatched(t *testing.T) {
	a := newFakeAccount()
	a.fill("INBOX", 10_000)
	var writes atomic.Int64
	out, _ := talk(t, New(Config{}), Start{Tag: "a0", Account: a}, "a1 SELECT INBOX\r\na2 FETCH 1:* FLAGS\r\na3 LOGOUT\r\n",
		func(c net.Conn) net.Conn { return counting{c, &writes} })
	if n := strings.Count(out, " FETCH ("); n != 10_000 {
		t.Fatalf("%d messages", n)
	}
	if most := int64(len(out)/(16<<10) + 4); writes.Load() > most {
		t.Errorf("%d writes of %d bytes; %d are enough", writes.Load(), len(out), most)
	}
}

// fill puts n messages into a mailbox at once.
func (a *fakeAccount) fill(name string, n int) {
	b := a.boxes[name]
	rows := make([]Row, n)
	for i := range rows {
		rows[i] = Row{UID: uint32(i + 1), System: System(i) & 0x1f, Size: 1000, Date: a.now}
	}
	b.next = uint32(n + 1)
	b.update(rows)
}

// Each command may allocate, each message may not.
func TestFetchFlagsDoesNotAllocate(t *testing.T) {
	a := newFakeAccount()
	a.fill("INBOX", 5000)
	c := offline(t, a, "FETCH", "1:* (UID FLAGS RFC822.SIZE INTERNALDATE)")
	n := testing.AllocsPerRun(5, func() {
		if r := c.cmd.run(context.Background(), c); r.typ != "OK" {
			t.Fatal(r)
		}
	})
	if n > 10 {
		t.Errorf("%v allocations for 5000 messages", n)
	}
}

// offline makes a session that has INBOX selected and writes into the void,
// and reads one command for it, which holds the session.
func offline(t testing.TB, a *fakeAccount, verb, args string) *call {
	s := newSession(sequential(Config{}), discard{}, Start{Account: a})
	s.begin(context.Background())
	mb, err := a.Open(s.ctx, "INBOX")
	if err == nil {
		s.view, err = newView(s.ctx, mb, "INBOX", true)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.r.Preload([]byte("a " + verb + " " + args + "\r\n"))
	c := new(call)
	_, err = s.read(c)
	if err != nil || c.refused.typ != "" {
		t.Fatal(err, c.refused)
	}
	c.settle()
	s.mu.Lock()
	return c
}

// sequential is a server whose sessions never read ahead: for connections
// that are none.
func sequential(cfg Config) *Server {
	srv := New(cfg)
	srv.watch.patience = time.Hour
	return srv
}

// discard is a connection into the void.
type discard struct{ net.Conn }

func (discard) Write(p []byte) (int, error)      { return len(p), nil }
func (discard) SetWriteDeadline(time.Time) error { return nil }
func (discard) SetReadDeadline(time.Time) error  { return nil }

func BenchmarkFetchFlags100k(b *testing.B) {
	a := newFakeAccount()
	a.fill("INBOX", 100_000)
	c := offline(b, a, "FETCH", "1:* FLAGS")
	b.ReportAllocs()
	for b.Loop() {
		c.cmd.run(context.Background(), c)
	}
}

func BenchmarkSearchUnseen100k(b *testing.B) {
	a := newFakeAccount()
	a.fill("INBOX", 100_000)
	c := offline(b, a, "SEARCH", "UNSEEN UNDELETED")
	b.ReportAllocs()
	for b.Loop() {
		c.cmd.run(context.Background(), c)
	}
}

func BenchmarkFetchBody(b *testing.B) {
	a := newFakeAccount()
	a.boxes["INBOX"].deliver("Subject: x\r\n\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 100_000), a.now, Row{})
	c := offline(b, a, "FETCH", "1 BODY.PEEK[TEXT]")
	b.SetBytes(7_200_000)
	for b.Loop() {
		c.cmd.run(context.Background(), c)
	}
}

// A session that waits for a command, or in IDLE, has given its buffers back.
func TestIdleHoldsNoBuffer(t *testing.T) {
	srv := New(Config{})
	ours, theirs := tcp(t)
	defer theirs.Close()
	s := newSession(srv, ours, Start{Tag: "a0", Account: newFakeAccount()})
	ctx, cancel := context.WithCancel(context.Background())
	s.begin(ctx)
	stop := context.AfterFunc(ctx, s.io.poke)
	defer stop()
	done := make(chan struct{})
	go func() {
		s.run()
		close(done)
	}()
	buf := make([]byte, 1000)
	for _, line := range []string{"", "a1 NOOP\r\n", "a2 IDLE\r\n"} {
		_, _ = io.WriteString(theirs, line)
		_, _ = theirs.Read(buf) // the answer has been flushed, which is the last thing before the wait
	}
	cancel()
	<-done
	// The last wait was in IDLE: nothing was taken out of the pools since.
	if s.r.Buffered() != nil && len(s.r.Buffered()) > 0 || !s.r.Release() {
		t.Error("the reader holds a buffer")
	}
	_ = ours.Close()
}

func TestSummary(t *testing.T) {
	a := newFakeAccount("Trash")
	a.boxes["INBOX"].deliver(simple, a.now, Row{})
	a.boxes["INBOX"].deliver(simple, a.now, Row{})
	const before = "a1 SELECT INBOX\r\n"
	const input = "a2 FETCH 1 (BODY[] BODY.PEEK[HEADER])\r\na3 STORE 1 +FLAGS (\\Deleted)\r\na4 COPY 2 Trash\r\na5 EXPUNGE\r\na6 BOGUS\r\na7 LOGOUT\r\n"
	out, sum := talk(t, New(Config{}), Start{Tag: "a0", Account: a, Buffered: []byte(before)}, input, nil)
	header := int64(strings.Index(simple, "\r\n\r\n") + 4)
	want := Summary{
		Reason: "Logged out", In: int64(len(before) + len(input)), Out: int64(len(out)), Deleted: 1, Expunged: 1, Trashed: 1,
		HdrCount: 1, HdrBytes: header, BodyCount: 1, BodyBytes: int64(len(simple)), Commands: 7, BadCommands: 1,
	}
	if sum != want {
		t.Errorf("%+v\nwant %+v\n%s", sum, want, out)
	}
	if _, sum := talk(t, New(Config{}), Start{Account: a}, "", nil); sum.Reason != "Connection closed" || sum.Err != nil {
		t.Errorf("%+v", sum)
	}
	if _, sum := talk(t, New(Config{}), Start{Account: a}, "a NOO", nil); sum.Reason != "Connection closed" || !errors.Is(sum.Err, io.ErrUnexpectedEOF) {
		t.Errorf("%+v", sum)
	}
}

// panicking is an account with a fault in it.
type panicking struct{ *fakeAccount }

func (panicking) Folders(context.Context) ([]Folder, error) { panic("fault") }

func TestPanicEndsOneSession(t *testing.T) {
	a := newFakeAccount()
	out, sum := talk(t, New(Config{}), Start{Tag: "a0", Account: panicking{a}}, "a1 LIST \"\" *\r\n", nil)
	var f *Fault
	if !errors.As(sum.Err, &f) || f.Value != "fault" || !bytes.Contains(f.Stack, []byte("Folders")) {
		t.Errorf("%+v", sum)
	}
	if !strings.HasSuffix(out, "* BYE [SERVERBUG] Internal error occurred. Refer to server log for more information.\r\n") {
		t.Error(out)
	}
}

// A peer that does not read what it asked for is let go.
func TestOutputStall(t *testing.T) {
	a := newFakeAccount()
	a.fill("INBOX", 200_000)
	ours, theirs := tcp(t)
	defer theirs.Close()
	_, _ = io.WriteString(theirs, "a1 SELECT INBOX\r\na2 FETCH 1:* (UID FLAGS INTERNALDATE)\r\n")
	sum := New(Config{Stall: 30 * time.Millisecond}).Serve(context.Background(), ours, Start{Tag: "a0", Account: a})
	if !errors.Is(sum.Err, os.ErrDeadlineExceeded) || !strings.Contains(sum.Reason, "output") {
		t.Errorf("%+v", sum)
	}
}

// shortBody announces more than it has: the client counts, so the session
// must end instead of going on one byte off.
type shortBody struct{ io.Reader }

func (shortBody) Size() int64                { return 100 }
func (shortBody) Partial(int64, int64) error { return nil }

func TestShortBodyEndsTheSession(t *testing.T) {
	s := offline(t, func() *fakeAccount { a := newFakeAccount(); a.fill("INBOX", 1); return a }(), "FETCH", "1 BODY.PEEK[]")
	f := &fetch{fetchCmd: s.cmd.(*fetchCmd), s: s, pieces: make([]piece, 1)}
	f.pieces[0].body = shortBody{strings.NewReader("abc")}
	row := s.view.pin.At(0)
	f.write(0, &row)
	if err := s.w.Flush(); err == nil {
		t.Fatal("no error")
	}
	s.lost(s.w.Err())
	if s.sum.Reason != "FETCH failed" {
		t.Errorf("%+v", s.sum)
	}
}

func TestCommandHook(t *testing.T) {
	var seen []string
	srv := sequential(Config{Command: func(verb, result string, _ time.Duration) { seen = append(seen, verb+" "+result) }})
	talk(t, srv, Start{Tag: "a0", Account: newFakeAccount()}, "a1 noop\r\na2 SELECT nowhere\r\na3 UID FETCH 1 FLAGS\r\na4 X'; DROP\r\n", nil)
	if got := fmt.Sprint(seen); got != "[NOOP ok SELECT no UID FETCH bad unknown bad]" {
		t.Error(got)
	}
}

func TestPreauth(t *testing.T) {
	out, _ := talk(t, New(Config{}), Start{Account: newFakeAccount()}, "", nil)
	if !strings.HasPrefix(out, "* PREAUTH [CAPABILITY IMAP4rev1 ") {
		t.Error(out)
	}
}

// A line beyond the limit is skipped, one beyond every bound ends the session.
func TestLongLines(t *testing.T) {
	a := newFakeAccount()
	out, _ := talk(t, New(Config{}), Start{Tag: "a0", Account: a}, "a1 NOOP "+strings.Repeat("x", 100_000)+"\r\na2 NOOP\r\n", nil)
	if !strings.Contains(out, "a1 BAD Error in IMAP command NOOP: Too many arguments.\r\na2 OK ") {
		t.Error(out)
	}
	out, _ = talk(t, New(Config{}), Start{Tag: "a0", Account: a}, "a1 SELECT "+strings.Repeat("x", 100_000)+"\r\na2 NOOP\r\n", nil)
	if !strings.Contains(out, "a1 BAD Error in IMAP command SELECT: Too long command line.\r\na2 OK ") {
		t.Error(out)
	}
	out, sum := talk(t, New(Config{}), Start{Tag: "a0", Account: a}, "a1 SELECT "+strings.Repeat("x", 10<<20)+"\r\na2 NOOP\r\n", nil)
	if sum.Reason != "Too long command line" || !strings.Contains(out, "* BYE Too long command line") && out != "" {
		t.Errorf("%+v: %s", sum, out)
	}
}

// A session that is sent away alone hears why.
func TestCauseIsTold(t *testing.T) {
	ours, theirs := tcp(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan Summary)
	go func() { done <- New(Config{}).Serve(ctx, ours, Start{Tag: "a0", Account: newFakeAccount()}) }()
	cancel(errors.New("Kicked by the administrator"))
	if sum := <-done; sum.Reason != "Kicked by the administrator" {
		t.Errorf("%+v", sum)
	}
	_ = ours.Close()
	out, _ := io.ReadAll(theirs)
	if !strings.HasSuffix(string(out), "* BYE Kicked by the administrator\r\n") {
		t.Errorf("%s", out)
	}
	_ = theirs.Close()
}

// A copy says nothing of how far it is, but that it goes on; alone or beside
// other commands (RFC 9585).
func TestLongCopyTellsThatItGoesOn(t *testing.T) {
	for verb, dest := range map[string]string{"COPY": "Sent", "UID COPY": "INBOX", "MOVE": "Sent"} {
		t.Run(verb, func(t *testing.T) {
			a := newFakeAccount("Sent")
			for range manyCopies {
				a.boxes["INBOX"].deliver(simple, a.now, Row{})
			}
			a.hold("copy")
			srv := New(Config{})
			srv.tellEvery = time.Millisecond
			l := liveSession(t, srv, a)
			l.send(t, "c]1 "+verb+" 1:* "+dest+"\r\n")
			<-a.gate("copy").reached
			for range 2 {
				l.until(t, "* OK [INPROGRESS (NIL NIL NIL)] ") // the tag would end the code
			}
			a.let("copy")
			l.until(t, "c]1 OK ")
			l.send(t, "n NOOP\r\n")
			if out := l.until(t, "n OK"); strings.Contains(out, "INPROGRESS") {
				t.Error(out)
			}
		})
	}
}

// Without the capability nothing is told.
func TestProgressCanBeOff(t *testing.T) {
	a := newFakeAccount()
	a.fill("INBOX", 3)
	srv := New(Config{Without: []string{"inprogress"}})
	srv.tellEvery = 0
	l := liveSession(t, srv, a)
	l.send(t, "s SORT (ARRIVAL) UTF-8 TEXT x\r\n")
	if out := l.until(t, "s OK"); strings.Contains(out, "INPROGRESS") {
		t.Error(out)
	}
}

// Who a client says that it is goes to the log, in the parts that are asked
// for, and not as often as the client likes.
func TestIdentified(t *testing.T) {
	var seen []string
	start := Start{Tag: "a0", Account: newFakeAccount(), Identified: func(text string) { seen = append(seen, text) }}
	talk(t, sequential(Config{LogID: []string{"name", "os"}}), start, "a1 ID NIL\r\n"+strings.Repeat("a2 ID (\"name\" \"Mail\" \"version\" \"16\" \"os\" NIL)\r\n", 5), nil)
	if got := fmt.Sprint(seen); got != "[name=Mail name=Mail]" {
		t.Error(got)
	}
}

// A capability that the operator has switched off is not announced, not
// enabled and not served.
func TestWithout(t *testing.T) {
	srv := New(Config{Without: []string{"compress=deflate", "CONDSTORE", "IMAP4rev1"}})
	out, _ := talk(t, srv, Start{Tag: "a0", Account: newFakeAccount()}, "a1 CAPABILITY\r\na2 COMPRESS DEFLATE\r\na3 ENABLE CONDSTORE\r\n", nil)
	for _, word := range []string{"COMPRESS=DEFLATE", "CONDSTORE ", "QRESYNC", "DEFLATE active"} {
		if strings.Contains(out, word) {
			t.Errorf("%s in %s", word, out)
		}
	}
	if !strings.Contains(out, "CAPABILITY IMAP4rev1 ") || !strings.Contains(out, "\r\n* ENABLED\r\na3 OK ") || !strings.Contains(out, "\r\na2 BAD ") {
		t.Error(out)
	}
}

// How many keys a search may have is bounded: each is work for each message.
func TestSearchKeysAreCapped(t *testing.T) {
	a := newFakeAccount()
	a.fill("INBOX", 1)
	l := liveSession(t, New(Config{}), a)
	for keys, want := range map[int]string{maxKeys: "OK", maxKeys + 1: "BAD Error in IMAP command SEARCH: Too many search keys."} {
		l.send(t, "k SEARCH"+strings.Repeat(" ALL", keys)+"\r\n")
		if out := l.until(t, "k "); !strings.Contains(out, "k "+want) {
			t.Errorf("%d keys: %s", keys, out)
		}
		l.send(t, "k SEARCH "+strings.Repeat("OR ALL ", keys-1)+"ALL\r\n")
		if out := l.until(t, "k "); want != "OK" && !strings.Contains(out, "k "+want) {
			t.Errorf("%d alternatives: %s", keys, out)
		}
	}
}

// A result that is in too many pieces is not saved, and what was saved before
// is forgotten (RFC 5182 section 2.5).
func TestSavedResultIsCapped(t *testing.T) {
	a := newFakeAccount()
	a.fill("INBOX", 9)
	srv := New(Config{})
	srv.maxSaved = 3
	l := liveSession(t, srv, a)
	for _, c := range []struct{ command, want string }{
		{"SEARCH RETURN (SAVE) 1,3,5", "k OK "},
		{"SEARCH $", "* SEARCH 1 3 5\r\n"},
		{"UID SEARCH RETURN (SAVE ALL) 1,3,5,7", "k NO [NOTSAVED] "},
		{"SEARCH $", "* SEARCH\r\n"},
		{"SEARCH RETURN (SAVE) 1:7,9", "k OK "},
		{"SORT RETURN (SAVE COUNT) (ARRIVAL) UTF-8 1,3,5,7", "k NO [NOTSAVED] "},
		{"SEARCH $", "* SEARCH\r\n"},
	} {
		l.send(t, "k "+c.command+"\r\n")
		if out := l.until(t, "k "); !strings.HasPrefix(out, c.want) {
			t.Errorf("%s: %s", c.command, out)
		}
	}
}

// UNAUTHENTICATE (RFC 8437) ends the session without a BYE and gives back what
// the client has sent behind it, in whatever state it was.
func TestUnauthenticate(t *testing.T) {
	for _, c := range []struct{ before, behind string }{
		{"", ""},
		{"a1 SELECT INBOX\r\n", "b1 AUTHENTICATE PLAIN AGFsaWNlAHNlY3JldA==\r\n"},
		{"a1 ENABLE CONDSTORE\r\na2 SELECT INBOX\r\n", "b1 LOG"},
	} {
		var got []byte
		a := newFakeAccount()
		a.boxes["INBOX"].deliver(simple, a.now, Row{System: Deleted})
		start := Start{Tag: "a0", Account: a, Back: func(b []byte) { got = append([]byte("back "), b...) }}
		out, sum := talk(t, New(Config{}), start, c.before+"u UNAUTHENTICATE\r\n"+c.behind, nil)
		if string(got) != "back "+c.behind || sum.Reason != "Unauthenticated" || !strings.HasSuffix(out, "\r\nu OK Unauthenticate completed.\r\n") {
			t.Errorf("%q came back: %+v, %s", got, sum, out)
		}
		if strings.Contains(out, "BYE") || strings.Contains(out, "EXPUNGE") || !strings.Contains(out, " UNAUTHENTICATE ") {
			t.Error(out)
		}
	}
	// Where nobody takes it, it is no command.
	out, _ := talk(t, New(Config{}), Start{Tag: "a0", Account: newFakeAccount()}, "u UNAUTHENTICATE\r\nv NOOP\r\n", nil)
	if !strings.Contains(out, "\r\nu BAD ") || !strings.Contains(out, "\r\nv OK ") || strings.Contains(out, "UNAUTHENTICATE ") {
		t.Error(out)
	}
}
