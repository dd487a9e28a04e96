package server

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// FuzzServer sends anything to a live session in each state. The session must
// end, must not panic, and must answer every line with lines.
func FuzzServer(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		var in []string
		for _, l := range strings.Split(string(text), "\n") {
			if rest, ok := strings.CutPrefix(l, "C: "); ok {
				in = append(in, rest)
			}
		}
		for state := range byte(4) {
			f.Add([]byte(strings.Join(in, "\r\n")+"\r\n"), state)
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, state byte) {
		a := newFakeAccount("Sent", "Trash")
		for range 3 {
			a.boxes["INBOX"].deliver(simple, a.now, Row{})
		}
		before := []string{"", "s SELECT INBOX\r\n", "s EXAMINE INBOX\r\n", "s SELECT INBOX\r\ni IDLE\r\n"}[state%4]
		out := new(bytes.Buffer)
		s := newSession(sequential(Config{}), recording{nil, out}, Start{Tag: "a0", Account: a})
		s.begin(context.Background())
		s.r.Preload(append([]byte(before), in...))
		s.play()
		if b := out.Bytes(); len(b) > 0 && !bytes.HasSuffix(b, []byte("\r\n")) && s.sum.Err == nil && s.io.deflate == nil {
			t.Fatalf("ends in the middle of a line: %q", b)
		}
		if s.view != nil {
			t.Fatal("something is still open")
		}
	})
}

// FuzzPipeline sends anything in one piece to a session that reads ahead
// whenever it can. It must end, without a fault and without a torn line.
func FuzzPipeline(f *testing.F) {
	f.Add([]byte("a UID FETCH 1:* BODY[]\r\nb NOOP\r\nc UID SEARCH BODY x\r\nd STORE 1 +FLAGS (x)\r\ne EXPUNGE\r\n"))
	f.Add([]byte("a UID COPY 1:3 Sent\r\nb STATUS Sent (MESSAGES)\r\nc UID SEARCH SUBJECT {3}\r\nabc\r\nd IDLE\r\nDONE\r\ne X\r\n"))
	f.Add([]byte("a LIST \"\" *\r\nb CREATE x\r\nc APPEND x {3}\r\na\r\n\r\nd DELETE INBOX\r\ne LOGOUT\r\nf NOOP\r\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		a := newFakeAccount("Sent", "Trash")
		for range 3 {
			a.boxes["INBOX"].deliver(simple, a.now, Row{})
		}
		a.jitter = runtime.Gosched
		srv := New(Config{Stall: time.Second, IdleTimeout: time.Second})
		srv.watch.patience = time.Microsecond
		out, sum := talk(t, srv, Start{Tag: "a0", Account: a}, "s SELECT INBOX\r\n"+string(in), nil)
		var fault *Fault
		if errors.As(sum.Err, &fault) {
			t.Fatalf("%v\n%s", fault.Value, fault.Stack)
		}
		if out != "" && !strings.HasSuffix(out, "\r\n") {
			t.Fatalf("ends in the middle of a line: %q", out)
		}
	})
}
