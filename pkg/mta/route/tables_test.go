package route

import (
	"bufio"
	"net"
	"path/filepath"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/socketmap"
)

// serveDomain is a socketmap server that has one domain.
func serveDomain(t *testing.T, path, domain string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				for {
					q, err := socketmap.Read(r, socketmap.MaxRequest)
					if err != nil {
						return
					}
					reply := "NOTFOUND "
					if q == "domains "+domain {
						reply = "OK mailbox"
					}
					_, _ = c.Write(socketmap.Append(nil, reply))
				}
			}()
		}
	}()
}

// Domains come from several tables; one that is away makes the answer unknown
// unless another knows the domain.
func TestDomainTables(t *testing.T) {
	dir := t.TempDir()
	serveDomain(t, filepath.Join(dir, "a"), "a.example")
	serveDomain(t, filepath.Join(dir, "b"), "b.example")
	spec := func(name string) string { return "socketmap:unix:" + filepath.Join(dir, name) + ":domains" }
	ts, err := OpenTables([]string{spec("a"), spec("b"), spec("away")})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a.example", "b.example"} {
		if has, err := ts.HasMailboxes(t.Context(), d); !has || err != nil {
			t.Errorf("%s: %v %v", d, has, err)
		}
	}
	if has, err := ts.HasMailboxes(t.Context(), "c.example"); has || !fail.Is(err, fail.Unavailable) {
		t.Errorf("c.example: %v %v", has, err)
	}
	for _, bad := range []string{"hash:/etc/domains", "socketmap:/run/x", "domains"} {
		if _, err := OpenTables([]string{bad}); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
