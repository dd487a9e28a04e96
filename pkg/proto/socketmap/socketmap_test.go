package socketmap

import (
	"bufio"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestRead(t *testing.T) {
	for _, tc := range []struct {
		in, want string
		err      error // nil with kind: fail.Invalid
		ok       bool
	}{
		{"5:hello,", "hello", nil, true},
		{"0:,", "", nil, true},
		{"", "", io.EOF, false},
		{"5", "", io.ErrUnexpectedEOF, false},
		{"5:hel", "", io.ErrUnexpectedEOF, false},
		{"5:hello;", "", nil, false},
		{":x,", "", nil, false},
		{"x:", "", nil, false},
		{"11:", "", nil, false},
		{"0000000:,", "", nil, false},
	} {
		got, err := Read(bufio.NewReader(strings.NewReader(tc.in)), 10)
		if (err == nil) != tc.ok || got != tc.want || (tc.err != nil && !errors.Is(err, tc.err)) ||
			(!tc.ok && tc.err == nil && !fail.Is(err, fail.Invalid)) {
			t.Errorf("%q: %q %v", tc.in, got, err)
		}
	}
	if got := string(Append(nil, "hello")); got != "5:hello," {
		t.Error(got)
	}
}

func TestParseTable(t *testing.T) {
	for spec, want := range map[string]string{
		"unix:/run/x:domains": "unix /run/x domains", "inet:127.0.0.1:99:users": "tcp 127.0.0.1:99 users",
		"unix:run/x:domains": "", "/run/x": "", "unix:/run/x": "", "inet:host:m": "", "": "", "unix:/run/x:a b": "",
	} {
		got, err := ParseTable(spec, time.Second)
		if (err == nil) != (want != "") || (err == nil && got.server.Network+" "+got.server.Address+" "+got.name != want) {
			t.Errorf("%q: %+v %v", spec, got, err)
		}
	}
}

// server answers each connection with the replies in turn, then closes it.
func server(t *testing.T, replies ...string) (tb *Table, conns func() int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var mu sync.Mutex
	n := 0
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				for _, reply := range replies {
					if q, err := Read(r, MaxRequest); err != nil || q != "domains example.org" {
						return
					}
					_, _ = io.WriteString(c, reply)
				}
			}()
		}
	}()
	tb, err = ParseTable("unix:"+path+":domains", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tb.Close)
	return tb, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestLookup(t *testing.T) {
	tb, conns := server(t, "10:OK mailbox,", "9:NOTFOUND ,", "9:TEMP down,", "8:PERM odd,", "3:huh,")
	if v, err := tb.Lookup(t.Context(), "example.org"); v != "mailbox" || err != nil {
		t.Error(v, err)
	}
	for _, kind := range []fail.Kind{fail.NotFound, fail.Unavailable, fail.Unavailable, fail.Unavailable} {
		if _, err := tb.Lookup(t.Context(), "example.org"); !fail.Is(err, kind) {
			t.Errorf("%v, want %v", err, kind)
		}
	}
	if n := conns(); n != 1 {
		t.Errorf("%d connections", n)
	}
	// The server closed the connection; another is made.
	if v, err := tb.Lookup(t.Context(), "example.org"); v != "mailbox" || err != nil || conns() != 2 {
		t.Error(v, err, conns())
	}
	if _, err := tb.Lookup(t.Context(), strings.Repeat("x", MaxRequest)); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

func TestOutages(t *testing.T) {
	for name, reply := range map[string]string{"nonsense": "hello", "half": "10:OK m", "huge": "999999:", "more than asked": "10:OK mailbox,x"} {
		tb, _ := server(t, reply)
		v, err := tb.Lookup(t.Context(), "example.org")
		if name == "more than asked" {
			if v != "mailbox" || err != nil || tb.server.Idle() != 0 {
				t.Errorf("%s: %q %v", name, v, err)
			}
			continue
		}
		if !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tb, _ := ParseTable("unix:/nonexistent/socket:domains", time.Second)
	if _, err := tb.Lookup(t.Context(), "x"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("5:hello,0:,")
	f.Add("999999:x")
	f.Fuzz(func(t *testing.T, in string) {
		r := bufio.NewReader(strings.NewReader(in))
		for {
			s, err := Read(r, 100)
			if err != nil {
				return
			}
			if len(s) > 100 {
				t.Fatal("too long")
			}
		}
	})
}
