package server

import (
	"bufio"
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
	"github.com/postcote/postcote/pkg/proto/imap/wire/wiretest"
)

// compressed starts a session and returns the client's end of it behind
// COMPRESS, and the connection below.
func compressed(t testing.TB, srv *Server, a Account, done chan<- Summary) (net.Conn, net.Conn) {
	ours, theirs := tcp(t)
	go func() {
		sum := srv.Serve(context.Background(), ours, Start{Tag: "a0", Account: a})
		_ = ours.Close()
		done <- sum
	}()
	_, _ = io.WriteString(theirs, "c COMPRESS DEFLATE\r\n")
	buf := make([]byte, 1<<10)
	for got := ""; !strings.Contains(got, "\nc OK "); {
		n, err := theirs.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got += string(buf[:n])
	}
	return wiretest.Deflated(theirs), theirs
}

// deflate is what a client sends for text, without the mark of a flush behind
// it and with.
func deflate(t testing.TB, text string) (open, flushed []byte) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(w, text)
	_ = w.Flush()
	return b.Bytes()[:b.Len()-4], b.Bytes()
}

// A mark of a flush that comes late is no command: the session goes on
// waiting, with all the time that it has and with no buffer.
func TestCompressedFlushMarkIsNoInput(t *testing.T) {
	done := make(chan Summary, 1)
	client, raw := compressed(t, New(Config{Stall: time.Second}), newFakeAccount(), done)
	open, flushed := deflate(t, "a1 NOOP\r\n")
	_, _ = raw.Write(open)
	r := bufio.NewReader(client)
	// The end of the block that holds the command is in the flush.
	_, _ = raw.Write(flushed[len(open):])
	if line, err := r.ReadString('\n'); line != "a1 OK NOOP completed.\r\n" {
		t.Fatal(line, err)
	}
	_, _ = raw.Write([]byte{0, 0, 0, 0xff, 0xff})
	select {
	case sum := <-done:
		t.Fatalf("the session has ended: %+v", sum)
	case <-time.After(1250 * time.Millisecond): // longer than Stall
	}
	_ = raw.Close()
	<-done
}

// The limits on commands hold for what comes out of the compression.
func TestCompressedLimits(t *testing.T) {
	for _, c := range []struct {
		name, text, reason string
		err                error
	}{
		{"line", "a1 SELECT " + strings.Repeat("x", 2<<20) + "\r\n", "Too long command line", wire.ErrTooLong},
		{"bombs", strings.Repeat("a1 APPEND INBOX {2000000+}\r\n"+strings.Repeat("x", 2_000_000)+"\r\n", 4), "Bad compressed input", wire.ErrExpands},
		{"many lines", strings.Repeat("\r\n", 2<<20), "Bad compressed input", wire.ErrExpands},
	} {
		t.Run(c.name, func(t *testing.T) {
			done := make(chan Summary, 1)
			client, raw := compressed(t, New(Config{MaxMessage: 1 << 20, MaxBad: 1 << 20}), newFakeAccount(), done)
			go func() { _, _ = io.Copy(io.Discard, client) }()
			_, flushed := deflate(t, c.text)
			_, _ = raw.Write(flushed)
			sum := <-done
			if sum.Reason != c.reason || !errors.Is(sum.Err, c.err) {
				t.Errorf("%s: %v", sum.Reason, sum.Err)
			}
			_ = raw.Close()
		})
	}
}

// RFC 8437 section 3: UNAUTHENTICATE ends the compression of the server behind
// its OK, and the client ends its own behind the command: with a final block, or
// by stopping at a byte. What it sends in the clear goes back with the connection.
func TestUnauthenticateEndsCompression(t *testing.T) {
	open, flushed := deflate(t, "u UNAUTHENTICATE\r\n")
	closed := func(text string) []byte {
		var b bytes.Buffer
		w, _ := flate.NewWriter(&b, flate.BestCompression)
		_, _ = io.WriteString(w, text)
		_ = w.Close()
		return b.Bytes()
	}
	final := closed("u UNAUTHENTICATE\r\n")
	for name, c := range map[string]struct {
		pieces []string
		back   string
		reason string
	}{
		"a final block":                          {[]string{string(final)}, "back ", "Unauthenticated"},
		"a final block, and a login behind it":   {[]string{string(final) + "b LOGIN x y\r\n"}, "back b LOGIN x y\r\n", "Unauthenticated"},
		"a final block that comes late":          {[]string{string(final[:len(final)-3]), string(final[len(final)-3:])}, "back ", "Unauthenticated"},
		"a flush, and no more compression":       {[]string{string(flushed)}, "back ", "Unauthenticated"},
		"a flush that comes late":                {[]string{string(open), string(flushed[len(open):])}, "back ", "Unauthenticated"},
		"a final block behind a flush":           {[]string{string(flushed) + "\x03\x00b NOOP\r\n"}, "back b NOOP\r\n", "Unauthenticated"},
		"more that is compressed":                {[]string{string(closed("u UNAUTHENTICATE\r\nb NOOP\r\n"))}, "", "Bad compressed input"},
		"more that is compressed behind a flush": {[]string{string(flushed) + string(closed("b NOOP\r\n"))}, "", "Bad compressed input"},
		"no end":                                 {[]string{string(open)}, "", "Bad compressed input"},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := tcp(t)
			type end struct {
				back string
				sum  Summary
			}
			done := make(chan end, 1)
			go func() {
				var e end
				e.sum = New(Config{Stall: 5 * time.Second}).Serve(context.Background(), ours, Start{
					Tag: "a0", Account: newFakeAccount(), Back: func(b []byte) { e.back = "back " + string(b) },
				})
				_ = ours.Close()
				done <- e
			}()
			_, _ = io.WriteString(theirs, "c COMPRESS DEFLATE\r\n")
			r := bufio.NewReader(theirs)
			for line := ""; !strings.HasPrefix(line, "c OK"); {
				var err error
				if line, err = r.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			for _, piece := range c.pieces {
				_, _ = io.WriteString(theirs, piece)
			}
			if name == "no end" {
				_ = theirs.(*net.TCPConn).CloseWrite()
			}
			out, err := io.ReadAll(flate.NewReader(r))
			e := <-done
			if e.back != c.back || e.sum.Reason != c.reason {
				t.Errorf("%q came back, %s: %v", e.back, e.sum.Reason, e.sum.Err)
			}
			if err != nil || !strings.Contains(string(out), "u OK Unauthenticate completed.\r\n") {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

// FuzzCompressed sends anything to a session that expects compressed
// commands: as it is, and compressed.
func FuzzCompressed(f *testing.F) {
	for _, text := range []string{
		"a NOOP\r\n", "a SELECT INBOX\r\nb FETCH 1:* BODY[]\r\n", "a COMPRESS DEFLATE\r\n", "a APPEND INBOX {3}\r\nabc\r\n",
		"a LIST \"\" *\r\nb LOGOUT\r\n", "a IDLE\r\nDONE\r\n", "a UNAUTHENTICATE\r\n",
	} {
		open, flushed := deflate(f, text)
		f.Add(open, false)
		f.Add(flushed, false)
		f.Add(append(flushed, "\x03\x00b LOGIN\r\n"...), false)
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, pack bool) {
		if pack {
			_, in = deflate(t, string(in))
		}
		a := newFakeAccount("Sent")
		a.boxes["INBOX"].deliver(simple, a.now, Row{})
		out := new(bytes.Buffer)
		start := Start{Tag: "a0", Account: a, Back: func([]byte) {}}
		s := newSession(sequential(Config{}), recording{nil, out}, start)
		s.begin(context.Background())
		s.r.Preload(append([]byte("c COMPRESS DEFLATE\r\n"), in...))
		s.play()
		plain, packed, _ := strings.Cut(out.String(), "c OK DEFLATE active.\r\n")
		text, err := io.ReadAll(flate.NewReader(strings.NewReader(packed)))
		if err == nil && s.done { // UNAUTHENTICATE has ended our compression
			err = io.ErrUnexpectedEOF
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) || plain != "" || len(text) > 0 && !bytes.HasSuffix(text, []byte("\r\n")) {
			t.Fatalf("%q, then %q, %v", plain, text, err)
		}
	})
}

// play runs commands until the input is used up.
func (s *session) play() {
	for !s.done && (len(s.r.Buffered()) > 0 || s.io.inflate != nil && s.io.inflate.Ready()) {
		if c := s.next(); c != nil {
			s.perform(c)
		}
	}
	s.close()
}

// What COMPRESS costs a session that waits, in bytes: it has used what
// clients use, and nothing but the window of its input may be left.
func TestCompressedIdleMemory(t *testing.T) {
	const n, most = 200, 6 << 10
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	a := newFakeAccount()
	a.boxes["INBOX"].deliver(simple, a.now, Row{})
	commands := "s ID (\"name\" \"Thunderbird\")\r\ns SELECT INBOX\r\ns UID FETCH 1 BODY.PEEK[]\r\n" + strings.Repeat("s NOOP\r\n", 20)
	costs := func(pack bool) int64 {
		srv := New(Config{})
		done := make(chan Summary, n)
		var before uint64
		clients := make([]net.Conn, n+1)
		for i := range clients {
			if i == 1 { // the first one has filled the pools
				before = memory()
			}
			ours, theirs := tcp(t)
			go func() {
				done <- srv.Serve(context.Background(), ours, Start{Tag: "a0", Account: a})
				_ = ours.Close()
			}()
			clients[i] = theirs
			exchange(t, theirs, commands, pack)
		}
		after := memory()
		for _, c := range clients {
			_ = c.Close()
			<-done
		}
		return int64(after-before) / n
	}
	plain, packed := costs(false), costs(true)
	t.Logf("an idle session holds %d bytes, with COMPRESS %d", plain, packed)
	if packed-plain > most {
		t.Errorf("COMPRESS costs %d bytes while idle, at most %d are expected", packed-plain, most)
	}
}

// exchange sends commands and reads until all are answered, without keeping
// anything of the client's side.
func exchange(t testing.TB, conn net.Conn, commands string, pack bool) {
	send := func(text []byte) { _, _ = conn.Write(text) }
	read := func(r io.Reader, n int) {
		br := bufio.NewReaderSize(r, 1<<10)
		for n > 0 {
			line, err := br.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, "s ") || strings.HasPrefix(line, "a0 ") {
				n--
			}
		}
	}
	read(conn, 1)
	var r io.Reader = conn
	text := []byte(commands)
	if pack {
		send([]byte("s COMPRESS DEFLATE\r\n"))
		read(conn, 1)
		r = flate.NewReader(conn)
		_, text = deflate(t, commands)
	}
	send(text)
	read(r, strings.Count(commands, "\r\n"))
}
