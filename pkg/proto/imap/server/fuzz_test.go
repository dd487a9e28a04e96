package server

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
		for !s.done && len(s.r.Buffered()) > 0 {
			if c := s.next(); c != nil {
				s.perform(c)
			}
		}
		s.close()
		if b := out.Bytes(); len(b) > 0 && !bytes.HasSuffix(b, []byte("\r\n")) && s.sum.Err == nil {
			t.Fatalf("ends in the middle of a line: %q", b)
		}
		if s.view != nil {
			t.Fatal("something is still open")
		}
	})
}
