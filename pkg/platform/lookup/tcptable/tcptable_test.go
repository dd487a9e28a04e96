package tcptable

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup"
)

func TestUnderstand(t *testing.T) {
	for line, want := range map[string]string{
		"200 value": "value", "200 a%20b%25%0a": "a b%\n", "200 a b": "a b", "200 x\r": "x", "500 no": "not found", "500 ": "not found",
		"400 later": "unavailable", "200 ": "unavailable", "200": "unavailable", "200 a%2": "unavailable", "200 a%zz": "unavailable",
		"250 ok": "unavailable", "": "unavailable", "get x": "unavailable",
	} {
		got, err := understand(line)
		if err != nil {
			got = fail.KindOf(err).String()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// serve answers "get known" on as many connections as it takes; after n
// answers it closes one.
func serve(t *testing.T, n int) (address string, conns *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	conns = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				for range n {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					reply := "500 not%20found\n"
					switch line {
					case "get known@a%20b\n":
						reply = "200 yes%20it%20is\n"
					case "get long\n":
						reply = "200 " + strings.Repeat("x", maxLine) + "\n"
					case "get late\n":
						reply = "400 later\n"
					}
					_, _ = io.WriteString(c, reply)
				}
			}()
		}
	}()
	return l.Addr().String(), conns
}

func TestLookup(t *testing.T) {
	address, conns := serve(t, 4)
	table, err := Open(address, lookup.Options{})
	if err != nil || !lookup.IsPatterned(table) {
		t.Fatal(err)
	}
	for range 4 {
		if v, err := table.Lookup(t.Context(), "known@a b"); v != "yes it is" || err != nil {
			t.Error(v, err)
		}
		if _, err := table.Lookup(t.Context(), "other"); !fail.Is(err, fail.NotFound) {
			t.Error(err)
		}
	}
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections for twice four questions", n)
	}
	for _, key := range []string{"long", "late"} {
		if _, err := table.Lookup(t.Context(), key); !fail.Is(err, fail.Unavailable) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if _, err := table.Lookup(t.Context(), strings.Repeat("x", maxLine)); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
	if err := table.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

func TestAway(t *testing.T) {
	address, _ := serve(t, 0)
	table, err := Open(address, lookup.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Lookup(t.Context(), "x"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	for _, bad := range []string{"host", ":1", "host:", ""} {
		if _, err := Open(bad, lookup.Options{}); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzUnderstand(f *testing.F) {
	f.Add("200 a%20b", "k@x y")
	f.Fuzz(func(t *testing.T, reply, key string) {
		if v, err := understand(reply); err == nil && v == "" {
			t.Fatal("empty")
		}
		line, _ := request(key)
		back, err := decode(strings.TrimSuffix(strings.TrimPrefix(line, "get "), "\n"))
		if err != nil || back != key || strings.ContainsAny(line[4:len(line)-1], " \r\n") {
			t.Fatalf("%q: %q %v", key, line, err)
		}
	})
}
