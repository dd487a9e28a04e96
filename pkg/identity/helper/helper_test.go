package helper

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// system knows alice with password "pw" and eve, whose password has expired.
type system struct{}

func (system) Auth(r Request) (Answer, error) {
	switch {
	case r.User == "broken":
		return Answer{}, fail.New(fail.Unavailable, "module is missing")
	case r.User == "eve":
		return Answer{}, Expired
	case r.User != "alice":
		return Answer{}, Unknown
	case r.Password != "pw" || r.Service != "dovecot-imap" || r.Fields.Get("rip") != "192.0.2.1":
		return Answer{}, Mismatch
	}
	return Answer{User: "alice", Fields: dovecotauth.Fields{}.Add("userdb_home", "/h")}, nil
}

func (system) User(name string) (Answer, error) {
	if name != "alice" {
		return Answer{}, Unknown
	}
	return Answer{User: name, Fields: dovecotauth.Fields{}.Add("uid", "1000").Add("gid", "1001").Add("home", "/home/alice")}, nil
}

// serve runs a helper for each connection, as a socket unit does.
func serve(t *testing.T, handle func(net.Conn)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
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
				handle(c)
			}()
		}
	}()
	return socket
}

func newDriver(t *testing.T, socket string) *Driver {
	t.Helper()
	c := DefaultConfig("pam")
	c.Socket, c.Service, c.Name, c.Timeout = socket, "dovecot-%{service}", "%{username}", 5e9
	d, err := New("pam", c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func ask(user string) *request.Request {
	r := &request.Request{User: user + "@example.org", Service: "imap"}
	r.Remote = netip.MustParseAddrPort("192.0.2.1:1")
	return r
}

func TestVerify(t *testing.T) {
	d := newDriver(t, serve(t, func(c net.Conn) { _ = Serve(c, system{}) }))
	a, err := d.Verify(t.Context(), ask("alice"), "pw")
	want := passdb.Account{User: "alice@example.org", Userdb: []account.Field{{Key: "home", Value: "/h"}}}
	if err != nil || !reflect.DeepEqual(a, want) {
		t.Errorf("%+v %v", a, err)
	}
	for _, tc := range []struct {
		user, password string
		kind           fail.Kind
		reason         passdb.Reason
	}{
		{"alice", "wrong", fail.Denied, passdb.Mismatch},
		{"alice", "", fail.Denied, passdb.Mismatch},
		{"eve", "pw", fail.Denied, passdb.Expired},
		{"nobody", "pw", fail.NotFound, 0},
		{"broken", "pw", fail.Unavailable, 0},
	} {
		_, err := d.Verify(t.Context(), ask(tc.user), tc.password)
		if !fail.Is(err, tc.kind) {
			t.Errorf("%s %q: %v", tc.user, tc.password, err)
		}
		if r := passdb.RefusedOf(err); (r != nil) != (tc.kind == fail.Denied) || (r != nil && r.Reason != tc.reason) {
			t.Errorf("%s %q: %v", tc.user, tc.password, err)
		}
	}
}

func TestUsers(t *testing.T) {
	u := newDriver(t, serve(t, func(c net.Conn) { _ = Serve(c, system{}) })).Users()
	r, err := u.Lookup(t.Context(), ask("alice"))
	if err != nil || r.User != "alice@example.org" || r.UID != 1000 || r.GID != 1001 || r.Home != "/home/alice" {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := u.Lookup(t.Context(), ask("nobody")); !fail.Is(err, fail.NotFound) {
		t.Error(err)
	}
}

// Whatever a helper does that is no answer is an outage, within the time.
func TestOutages(t *testing.T) {
	for name, handle := range map[string]func(net.Conn){
		"ends":       func(net.Conn) {},
		"garbage":    func(c net.Conn) { _, _ = c.Write([]byte("\x00\xff\n")) },
		"no name":    func(c net.Conn) { _, _ = c.Write([]byte("OK\n")) },
		"odd word":   func(c net.Conn) { _, _ = c.Write([]byte("FAIL\tbecause\n")) },
		"password":   func(c net.Conn) { _, _ = c.Write([]byte("OK\talice\tpassword={PLAIN}pw\n")) },
		"endless":    func(c net.Conn) { _, _ = c.Write([]byte(strings.Repeat("x", 1<<20))) },
		"half a way": func(c net.Conn) { _, _ = c.Write([]byte("OK\talice")) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDriver(t, serve(t, func(c net.Conn) {
				_, _ = dovecotauth.NewReader(c).Next()
				handle(c)
			}))
			if _, err := d.Verify(t.Context(), ask("alice"), "pw"); !fail.Is(err, fail.Unavailable) {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	d := newDriver(t, serve(t, func(c net.Conn) { cancel(); <-t.Context().Done() }))
	if _, err := d.Verify(ctx, ask("alice"), "pw"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	d = newDriver(t, filepath.Join(t.TempDir(), "none"))
	if _, err := d.Verify(t.Context(), ask("alice"), "pw"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

func TestShadow(t *testing.T) {
	file := filepath.Join(t.TempDir(), "shadow")
	day := func(n int) time.Time { return time.Unix(int64(n)*86400, 0) }
	text := strings.ReplaceAll(`root:*:20000:0:99999:7:::
alice:HASH:20000:0:99999:7:::
old:HASH:19000:0:30:7:5::
must:HASH:0:0:99999:7:::
gone:HASH:20000:0:99999:7::19999:
locked:!HASH:20000:0:99999:7:::
odd:$99$x:20000::::::
short:HASH
`, "HASH", hash)
	if err := disk.WriteFile(disk.OS(), file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Shadow{File: file, Now: func() time.Time { return day(20100) }}
	for _, tc := range []struct {
		user, password string
		want           error
	}{
		{"alice", "pw", nil},
		{"short", "pw", nil},
		{"alice", "wrong", Mismatch},
		{"old", "pw", Expired},
		{"old", "wrong", Mismatch},
		{"must", "pw", Expired},
		{"gone", "pw", Expired},
		{"locked", "pw", Disabled},
		{"root", "pw", Disabled},
		{"nobody", "pw", Unknown},
	} {
		a, err := s.Auth(Request{User: tc.user, Password: tc.password})
		if !errors.Is(err, tc.want) || (err == nil && a.User != tc.user) {
			t.Errorf("%s %s: %v %v", tc.user, tc.password, a, err)
		}
	}
	if _, err := s.Auth(Request{User: "odd", Password: "pw"}); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	s.File += ".none"
	if _, err := s.Auth(Request{User: "alice", Password: "pw"}); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

// hash is "pw" as crypt(3) stores it, cheap: openssl passwd -5 -salt 'rounds=1000$saltsalt' pw
const hash = "$5$rounds=1000$saltsalt$eNI.02a9Kos9UxzxjTLpNZ6kYHkRe9Z8OsGkDDoW/X2"

// pipe is a peer that sends in and swallows what it gets.
type pipe struct{ in []byte }

func (p *pipe) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) { return len(b), nil }

func FuzzServe(f *testing.F) {
	f.Add([]byte("AUTH\tdovecot\talice\tpw\trip=192.0.2.1\n"))
	f.Add([]byte("USER\talice\n"))
	f.Add([]byte("\x01\t\t\t\n"))
	f.Fuzz(func(_ *testing.T, in []byte) {
		_ = Serve(&pipe{in: in}, system{})
		c := NewClient("x", time.Second, 1)
		if l, err := dovecotauth.NewReader(&pipe{in: in}).Next(); err == nil {
			_, _ = c.understand(l)
		}
	})
}
