package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
)

// pair gives a Conn and the text that its peer receives once it is closed.
func pair(t *testing.T, input string) (*Conn, func() string) {
	t.Helper()
	a, b := net.Pipe()
	c := NewConn(a, NewPools(), nil)
	got := make(chan string, 1)
	go func() { _, _ = io.WriteString(b, input) }()
	go func() { all, _ := io.ReadAll(b); got <- string(all) }()
	return c, func() string { c.Release(); a.Close(); return <-got }
}

func TestReadLine(t *testing.T) {
	c, end := pair(t, "USER x\r\nPASS y\nNOOP\r\n"+strings.Repeat("a", 3*MaxLine)+"\r\nQUIT\r\n")
	defer end()
	for _, want := range []string{"USER x", "PASS y", "NOOP"} {
		if got, err := c.ReadLine(); err != nil || string(got) != want {
			t.Fatalf("%q %v, want %q", got, err, want)
		}
	}
	if _, err := c.ReadLine(); !errors.Is(err, ErrTooLong) {
		t.Fatalf("an overlong line gives %v", err)
	}
	if got, err := c.ReadLine(); err != nil || string(got) != "QUIT" {
		t.Fatalf("after the overlong line: %q %v", got, err)
	}
}

// What the login role had read already comes first, and nothing waits for the
// connection as long as some of it is left.
func TestBufferedComesFirst(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	long := strings.Repeat("x", MaxLine-10)
	c := NewConn(a, NewPools(), []byte("STAT\r\n"+long+"\r\nLI"))
	waits := 0
	c.Wait = func() error {
		if waits++; waits == 1 {
			go func() { _, _ = io.WriteString(b, "NOOP\r\n") }()
		}
		return nil
	}
	go func() { _, _ = io.WriteString(b, "ST 1\r\n") }()
	for i, want := range []string{"STAT", long, "LIST 1", "NOOP"} {
		if !c.Buffered() != (i == 3) {
			t.Fatalf("line %d: buffered %v", i, c.Buffered())
		}
		if got, err := c.ReadLine(); err != nil || string(got) != want {
			t.Fatalf("%.20q %v, want %.20q", got, err, want)
		}
	}
	if waits != 1 {
		t.Fatalf("waited %d times", waits)
	}
	c = NewConn(a, NewPools(), []byte("rest"))
	if got := c.Unread(); string(got) != "rest" || c.Buffered() {
		t.Fatalf("%q", got)
	}
}

func TestEndlessLineIsGivenUp(t *testing.T) {
	c, end := pair(t, strings.Repeat("a", 2*maxDrain))
	defer end()
	if _, err := c.ReadLine(); err == nil || errors.Is(err, ErrTooLong) {
		t.Fatalf("%v: the peer must be given up", err)
	}
}

func TestPrintfForgesNothing(t *testing.T) {
	c, end := pair(t, "")
	c.Printf("-ERR %s", "x\r\n+OK forged")
	if got := end(); got != "-ERR x  +OK forged\r\n" {
		t.Errorf("%q", got)
	}
}

func TestBody(t *testing.T) {
	const msg = "A: 1\r\n.B: 2\r\n\r\nline 1\r\n.line 2\nline 3"
	for _, k := range []struct {
		lines int
		want  string
	}{
		{-1, "A: 1\r\n..B: 2\r\n\r\nline 1\r\n..line 2\r\nline 3\r\n.\r\n"},
		{0, "A: 1\r\n..B: 2\r\n\r\n.\r\n"},
		{1, "A: 1\r\n..B: 2\r\n\r\nline 1\r\n.\r\n"},
		{2, "A: 1\r\n..B: 2\r\n\r\nline 1\r\n..line 2\r\n.\r\n"},
		{9, "A: 1\r\n..B: 2\r\n\r\nline 1\r\n..line 2\r\nline 3\r\n.\r\n"},
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(msg), "by byte": iotest.OneByteReader(strings.NewReader(msg)),
		} {
			t.Run(fmt.Sprint(k.lines, name), func(t *testing.T) {
				c, end := pair(t, "")
				if _, err := c.Body(r, BodyOptions{Lines: k.lines}); err != nil {
					t.Fatal(err)
				}
				if got := end(); got != k.want {
					t.Errorf("got  %q\nwant %q", got, k.want)
				}
			})
		}
	}
}

// What old clients cannot bear is changed on request only.
func TestBodyWorkarounds(t *testing.T) {
	for _, k := range []struct {
		name, msg, want string
		opt             BodyOptions
	}{
		{"a NUL as it is", "A: 1\n\nx\x00y\n", "A: 1\r\n\r\nx\x00y\r\n.\r\n", BodyOptions{Lines: -1}},
		{"outlook-no-nuls", "A: \x00\x001\n\nx\x00y\n", "A: \x80\x801\r\n\r\nx\x80y\r\n.\r\n", BodyOptions{Lines: -1, NoNULs: true}},
		{"a header without an end", "A: 1\n", "A: 1\r\n.\r\n", BodyOptions{Lines: -1}},
		{"oe-ns-eoh", "A: 1\n", "A: 1\r\n\r\n.\r\n", BodyOptions{Lines: -1, EndHeader: true}},
		{"oe-ns-eoh, TOP", "A: 1", "A: 1\r\n\r\n.\r\n", BodyOptions{Lines: 0, EndHeader: true}},
		{"oe-ns-eoh with an end", "A: 1\n\nx", "A: 1\r\n\r\nx\r\n.\r\n", BodyOptions{Lines: -1, EndHeader: true}},
	} {
		t.Run(k.name, func(t *testing.T) {
			c, end := pair(t, "")
			if _, err := c.Body(strings.NewReader(k.msg), k.opt); err != nil {
				t.Fatal(err)
			}
			if got := end(); got != k.want {
				t.Errorf("got  %q\nwant %q", got, k.want)
			}
		})
	}
}

// However a message is cut into chunks, the client gets the same bytes, and
// no line of them but the last is a lone dot.
func FuzzBody(f *testing.F) {
	f.Add("a\r\n\r\n.\r\nb", 3, 1)
	f.Fuzz(func(t *testing.T, msg string, chunk, lines int) {
		chunk = 1 + (chunk&0x7fff)%7
		lines = -1 + (lines&0x7fff)%5
		c1, end1 := pair(t, "")
		sent, _ := c1.Body(strings.NewReader(msg), BodyOptions{Lines: lines})
		c2, end2 := pair(t, "")
		_, _ = c2.Body(&chunks{msg, chunk}, BodyOptions{Lines: lines})
		a, b := end1(), end2()
		if a != b {
			t.Fatalf("%q and %q", a, b)
		}
		if sent != int64(len(a)-3) {
			t.Fatalf("sent %d of %q", sent, a)
		}
		if i := strings.Index("\r\n"+a, "\r\n.\r\n"); i != len(a)-3 {
			t.Fatalf("the body ends early: %q", a)
		}
	})
}

type chunks struct {
	rest string
	n    int
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.rest == "" {
		return 0, io.EOF
	}
	n := min(c.n, len(c.rest), len(p))
	copy(p, c.rest[:n])
	c.rest = c.rest[n:]
	return n, nil
}
