package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// eventually waits for what another goroutine is about to do.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("in vain waited for: %s", what)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// TestTouches pins what may run beside what (RFC 9051 section 5.5), INBOX
// being selected: "beside" begins at once, "waits" when the first has ended.
func TestTouches(t *testing.T) {
	for _, c := range []struct{ first, second, want string }{
		{"FETCH 1 FLAGS", "FETCH 2 FLAGS", "beside"},
		{"FETCH 1 FLAGS", "STORE 1 +FLAGS (x)", "waits"},
		{"FETCH 1 UID", "STORE 1 +FLAGS (x)", "beside"},
		{"FETCH 1 BODY[]", "SEARCH UNSEEN", "waits"},
		{"FETCH 1 BODY[]", "SEARCH SUBJECT x", "beside"},
		{"FETCH 1 BODY[]", "SEARCH NOT (KEYWORD x SUBJECT y)", "waits"},
		{"FETCH 1 BODY.PEEK[]", "SEARCH UNSEEN", "beside"},
		{"FETCH 1 RFC822", "FETCH 1 RFC822", "waits"},
		{"FETCH 1 UID", "NOOP", "beside"},
		{"NOOP", "FETCH 1 UID", "waits"},
		{"NOOP", "UID FETCH 1 FLAGS", "beside"},
		{"UID FETCH 1 UID", "FETCH 1 UID", "waits"},
		{"UID SEARCH SUBJECT x", "UID SEARCH SUBJECT x", "beside"},
		{"UID SEARCH SUBJECT x", "UID SEARCH 1 SUBJECT x", "waits"},
		{"SEARCH SUBJECT x", "UID SEARCH 1 SUBJECT x", "beside"},
		{"STORE 1 +FLAGS (x)", "STORE 2 +FLAGS (x)", "waits"},
		{"STORE 1 +FLAGS (x)", "NOOP", "beside"},
		{"STORE 1 +FLAGS (x)", "STATUS INBOX (UNSEEN)", "waits"},
		{"STORE 1 +FLAGS (x)", "STATUS Sent (UNSEEN)", "beside"},
		{"STORE 1 +FLAGS (x)", `LIST "" *`, "beside"},
		{"STORE 1 +FLAGS (x)", `LIST "" * RETURN (STATUS (UNSEEN))`, "waits"},
		{"STORE 1 +FLAGS (x)", "COPY 1 Sent", "waits"},
		{"COPY 1 Sent", "UID STORE 1 +FLAGS (x)", "waits"},
		{"COPY 1 Sent", "STATUS Sent (UNSEEN)", "waits"},
		{"COPY 1 Sent", "COPY 1 Sent", "waits"},
		{"COPY 1 Sent", "UID FETCH 1 FLAGS", "beside"},
		{"COPY 1 Sent", "FETCH 1 FLAGS", "waits"},
		{"COPY 1 INBOX", "UID FETCH 1 UID", "waits"},
		{"UID FETCH 1 UID", "UID COPY 1 inbox", "waits"},
		{"STATUS Sent (UNSEEN)", `LIST "" *`, "beside"},
		{`LSUB "" *`, "SUBSCRIBE x", "waits"},
		{"CREATE x", `LIST "" *`, "waits"},
		{"CREATE x", "CREATE y", "waits"},
		{"CREATE x", "UID FETCH 1 BODY[]", "beside"},
		{"SEARCH RETURN (SAVE) SUBJECT x", "FETCH $ UID", "waits"},
		{"SEARCH RETURN (SAVE) SUBJECT x", "UID COPY $ Sent", "waits"},
		{"SEARCH RETURN (SAVE) SUBJECT x", "SEARCH NOT $", "waits"},
		{"SEARCH RETURN (SAVE) SUBJECT x", "UID SEARCH UID $", "waits"},
		{"SEARCH RETURN (SAVE) SUBJECT x", "SEARCH RETURN (SAVE) SUBJECT y", "waits"},
		{"SEARCH RETURN (SAVE) SUBJECT x", "SEARCH RETURN (ALL) SUBJECT y", "beside"},
		{"SORT RETURN (SAVE) (DATE) UTF-8 SUBJECT x", "UID THREAD REFS UTF-8 $", "waits"},
		{"FETCH $ UID", "SEARCH RETURN (SAVE) SUBJECT x", "waits"},
		{"FETCH $ UID", "SEARCH $", "beside"},
		{"SEARCH RETURN (SAVE) SUBJECT x", "FETCH 1 UID", "beside"},
		{"SORT (DATE) UTF-8 UNSEEN", "STORE 1 +FLAGS (x)", "waits"},
		{"UID SORT (DATE) UTF-8 SUBJECT x", "UID STORE 1 +FLAGS (x)", "beside"},
		{"UID THREAD REFS UTF-8 ALL", "EXPUNGE", "waits"},
		{"BOGUS", "FETCH 1 UID", "beside"},
		{"FETCH 1 BODY[]", "FETCH 1 bogus", "beside"},
		{"UID FETCH 1 UID", "SELECT Sent", "waits"},
		{"UID FETCH 1 UID", "EXAMINE Sent", "waits"},
		{"UID FETCH 1 UID", "CLOSE", "waits"},
		{"UID FETCH 1 UID", "UNSELECT", "waits"},
		{"UID FETCH 1 UID", "LOGOUT", "waits"},
		{"UID FETCH 1 UID", "EXPUNGE", "waits"},
		{"UID FETCH 1 UID", "UID EXPUNGE 1", "waits"},
		{"UID FETCH 1 UID", "UID MOVE 1 Sent", "waits"},
		{"UID FETCH 1 UID", "DELETE Sent", "waits"},
		{"UID FETCH 1 UID", "RENAME Sent x", "waits"},
		{"UID FETCH 1 UID", "ENABLE CONDSTORE", "waits"},
		{"UID FETCH 1 UID", "IDLE", "waits"},
		{"UID FETCH 1 UID", "APPEND Sent {1+}", "waits"},
	} {
		if got := pair(t, c.first, c.second); got != c.want {
			t.Errorf("%s, then %s: %s, want %s", c.first, c.second, got, c.want)
		}
	}
}

func pair(t *testing.T, first, second string) string {
	s := newSession(sequential(Config{}), discard{}, Start{Account: newFakeAccount()})
	s.begin(context.Background())
	s.view = &view{name: "INBOX"}
	s.r.Preload([]byte("a " + first + "\r\nb " + second + "\r\n"))
	var calls [2]call
	for i := range calls {
		if _, err := s.read(&calls[i]); err != nil {
			t.Fatal(err)
		}
		calls[i].settle()
	}
	if calls[1].waitsFor(&calls[0]) {
		return "waits"
	}
	return "beside"
}

// live is a running session whose inside can be looked at.
type live struct {
	*session
	client net.Conn
	r      *bufio.Reader
	ended  chan Summary
}

// liveSession runs a session with INBOX selected.
func liveSession(t *testing.T, srv *Server, a *fakeAccount) *live {
	ours, theirs := tcp(t)
	l := &live{newSession(srv, ours, Start{Account: a}), theirs, bufio.NewReader(theirs), make(chan Summary, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	l.begin(ctx)
	l.stop = context.AfterFunc(ctx, l.io.poke)
	l.over = func(sum Summary) {
		_ = ours.Close()
		l.ended <- sum
	}
	go l.turn()
	t.Cleanup(func() {
		cancel()
		_ = theirs.Close()
	})
	l.send(t, "s SELECT INBOX\r\n")
	l.until(t, "s OK")
	return l
}

func (l *live) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(l.client, text); err != nil {
		t.Fatal(err)
	}
}

// until reads up to the line that begins so, and returns all of it.
func (l *live) until(t *testing.T, prefix string) string {
	t.Helper()
	_ = l.client.SetReadDeadline(time.Now().Add(30 * time.Second))
	var all strings.Builder
	for {
		line, err := l.r.ReadString('\n')
		if all.WriteString(line); err != nil {
			t.Fatalf("%v before %s: %s", err, prefix, all.String())
		}
		if strings.HasPrefix(line, prefix) {
			return all.String()
		}
	}
}

// known is the state of reading ahead, for as long as a command is held.
func (l *live) known() (calls, waiting, running int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ahead == nil {
		return 0, 0, 0
	}
	return len(l.ahead.known), l.ahead.waiting, l.ahead.running
}

// However much a client sends, little of it is taken in while a command runs.
func TestReadAheadIsBounded(t *testing.T) {
	long := "x UID STORE " + strings.Repeat("1,", 15_000) + "1 +FLAGS (a)\r\n"
	for name, c := range map[string]struct {
		commands string
		n        int
		full     func(calls, waiting int) bool
	}{
		"commands": {"x UID STORE 1 +FLAGS (a)\r\n", 50, func(calls, _ int) bool { return calls == maxAhead }},
		"bytes":    {long, 8, func(_, waiting int) bool { return waiting >= maxAheadBytes }},
	} {
		t.Run(name, func(t *testing.T) {
			a := newFakeAccount()
			a.boxes["INBOX"].deliver(simple, a.now, Row{})
			a.hold("content 1")
			l := liveSession(t, New(Config{}), a)
			l.send(t, "s FETCH 1 (FLAGS BODY.PEEK[])\r\n")
			<-a.gate("content 1").reached
			go func() { _, _ = io.WriteString(l.client, strings.Repeat(c.commands, c.n)+"z UNSELECT\r\n") }()
			eventually(t, "all is read that may be", func() bool { n, w, _ := l.known(); return c.full(n, w) })
			n, w, _ := l.known()
			if n > maxAhead || w > maxAheadBytes+len(long) {
				t.Errorf("%d commands of %d bytes", n, w)
			}
			a.let("content 1")
			if got := strings.Count(l.until(t, "z OK"), "x OK"); got != c.n {
				t.Errorf("%d answers of %d", got, c.n)
			}
			l.send(t, "z NOOP\r\n")
			l.until(t, "z OK")
		})
	}
}

// At most maxBeside commands run at a time.
func TestRunningIsBounded(t *testing.T) {
	a := newFakeAccount()
	a.boxes["INBOX"].deliver(simple, a.now, Row{})
	a.hold("content 1")
	l := liveSession(t, New(Config{}), a)
	l.send(t, strings.Repeat("x UID FETCH 1 ENVELOPE\r\n", 10))
	for range maxBeside {
		<-a.gate("content 1").reached
	}
	eventually(t, "all are read", func() bool { n, _, _ := l.known(); return n == 10 })
	if _, _, running := l.known(); running != maxBeside {
		t.Errorf("%d run", running)
	}
	l.send(t, "z LOGOUT\r\n")
	a.let("content 1")
	if got := strings.Count(l.until(t, "z OK"), "x OK"); got != 10 {
		t.Errorf("%d answers", got)
	}
}

// What only reads is not done for somebody who is gone; what changes
// something is finished. No goroutine stays.
func TestDeadConnectionStopsCommands(t *testing.T) {
	for name, die := range map[string]func(*net.TCPConn){
		"reset": func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		"close": func(c *net.TCPConn) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			a := newFakeAccount()
			a.boxes["INBOX"].deliver(simple, a.now, Row{})
			a.hold("content 1")
			a.hold("store")
			srv := New(Config{})
			srv.askAfter = time.Millisecond
			l := liveSession(t, srv, a)
			l.send(t, "s UID SEARCH BODY x\r\ns UID FETCH 1 BODY.PEEK[]\r\ns UID STORE 1 +FLAGS (kept)\r\n")
			<-a.gate("content 1").reached
			<-a.gate("content 1").reached
			<-a.gate("store").reached
			die(l.client.(*net.TCPConn))
			eventually(t, "the reading commands have stopped", func() bool { _, _, r := l.known(); return r == 1 })
			select {
			case sum := <-l.ended:
				t.Fatalf("ended before the STORE: %+v", sum)
			default:
			}
			a.let("store")
			if sum := <-l.ended; sum.Reason != "Connection closed" {
				t.Errorf("%+v", sum)
			}
			if row := a.boxes["INBOX"].cur.At(0); len(row.Keywords) != 1 {
				t.Errorf("%+v", row)
			}
			eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
		})
	}
}

// A client that has only finished sending gets its answers.
func TestHalfClosedClientIsAnswered(t *testing.T) {
	a := newFakeAccount()
	a.boxes["INBOX"].deliver(simple, a.now, Row{})
	a.hold("content 1")
	srv := New(Config{})
	srv.askAfter = time.Millisecond
	l := liveSession(t, srv, a)
	l.send(t, "a UID FETCH 1 BODY.PEEK[TEXT]\r\nb NOOP\r\n")
	_ = l.client.(*net.TCPConn).CloseWrite()
	l.until(t, "b OK")
	l.until(t, "* OK Still here") // that is how one that is gone is found out
	a.let("content 1")
	l.until(t, "a OK")
	if sum := <-l.ended; sum.Reason != "Connection closed" || sum.Err != nil {
		t.Errorf("%+v", sum)
	}
}

// A fault in one of several commands ends them all, and is reported.
func TestPanicBesideOthers(t *testing.T) {
	before := runtime.NumGoroutine()
	a := newFakeAccount()
	a.boxes["INBOX"].deliver(simple, a.now, Row{})
	a.hold("content 1")
	a.hold("status")
	a.gate("status").fault = true
	l := liveSession(t, New(Config{}), a)
	// The last command never comes whole: the reader is in the middle of it.
	l.send(t, "a UID FETCH 1 BODY.PEEK[]\r\nb STATUS INBOX (MESSAGES)\r\nc NO")
	sum := <-l.ended
	var f *Fault
	if !errors.As(sum.Err, &f) || f.Value != "fault in status" {
		t.Errorf("%+v", sum)
	}
	if out := l.until(t, "* BYE"); strings.Contains(out, "a OK") || strings.Contains(out, " NO ") {
		t.Error(out)
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

// Mistakes count, in whatever order they are answered; after BYE nobody says
// anything.
func TestTooManyBadBesideOthers(t *testing.T) {
	a := newFakeAccount()
	a.boxes["INBOX"].deliver(simple, a.now, Row{})
	a.hold("content 1")
	l := liveSession(t, New(Config{MaxBad: 3}), a)
	l.send(t, "a UID FETCH 1 BODY.PEEK[]\r\nx X\r\nx X\r\nx X\r\n")
	_ = l.client.SetReadDeadline(time.Now().Add(30 * time.Second))
	rest, err := io.ReadAll(l.r)
	if err != nil || strings.Contains(string(rest), "a OK") || !strings.HasSuffix(string(rest), "* BYE Too many invalid IMAP commands.\r\n") {
		t.Errorf("%q, %v", rest, err)
	}
}

// The whole of what a command says comes in one piece, beside others that do
// the same.
func TestLinesAreNotTorn(t *testing.T) {
	a := newFakeAccount()
	const n = 200
	for range n {
		a.boxes["INBOX"].deliver(simple, a.now, Row{})
	}
	a.jitter = runtime.Gosched
	srv := New(Config{})
	srv.watch.patience = time.Microsecond
	l := liveSession(t, srv, a)
	var in strings.Builder
	for i := range 8 {
		fmt.Fprintf(&in, "f%d UID FETCH 1:* (ENVELOPE BODY.PEEK[TEXT])\r\n", i)
		in.WriteString("x UID SEARCH TEXT World\r\nx STATUS INBOX (MESSAGES)\r\n")
	}
	in.WriteString("z LOGOUT\r\n")
	l.send(t, in.String())
	counts := map[string]int{}
	body := simple[strings.Index(simple, "\r\n\r\n")+4:]
	_ = l.client.SetReadDeadline(time.Now().Add(30 * time.Second))
	for {
		line, err := l.r.ReadString('\n')
		if err != nil {
			break
		}
		words := strings.Fields(line)
		counts[words[0]+" "+words[1]]++
		if !strings.HasSuffix(line, fmt.Sprintf("{%d}\r\n", len(body))) {
			continue
		}
		rest := make([]byte, len(body)+3)
		if _, err := io.ReadFull(l.r, rest); err != nil || string(rest) != body+")\r\n" {
			t.Fatalf("%q, %v", rest, err)
		}
		counts["FETCH"]++
	}
	if counts["FETCH"] != 8*n || counts["* SEARCH"] != 8 || counts["* STATUS"] != 8 || counts["x OK"] != 16 || counts["z OK"] != 1 {
		t.Errorf("%v", counts)
	}
}
