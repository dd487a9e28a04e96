package authd

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx/netxtest"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authserver/authtest"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
)

// Dovecot's rule: only mode 0666 restricts, and neither the owner nor its group.
func TestOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	uid, gid := os.Getuid(), os.Getgid()
	for _, tc := range []struct {
		mode os.FileMode
		spec conf.Listen
		peer authserver.Peer
		want bool
	}{
		{0o666, conf.Listen{}, authserver.Peer{UID: uid + 1, GID: gid + 1}, true},
		{0o666, conf.Listen{}, authserver.Peer{UID: uid, GID: gid + 1}, false},
		{0o666, conf.Listen{}, authserver.Peer{UID: uid + 1, GID: gid}, false},
		{0o666, conf.Listen{Allow: []string{"imapd"}}, authserver.Peer{UID: uid + 1, GID: gid + 1}, false},
		{0o660, conf.Listen{}, authserver.Peer{UID: uid + 1, GID: gid + 1}, false},
		{0o777, conf.Listen{}, authserver.Peer{UID: uid + 1, GID: gid + 1}, false},
	} {
		if err := os.Chmod(path, tc.mode); err != nil {
			t.Fatal(err)
		}
		if got := ownerOf(l, tc.spec).restricts(tc.peer); got != tc.want {
			t.Errorf("mode %o, allow %q, peer %+v: restricted %v", tc.mode, tc.spec.Allow, tc.peer, got)
		}
	}
}

// Whoever connects and is gone before the greeting, as a probe is, is no reason
// for a warning; whoever breaks the protocol is.
func TestGoneAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log, rec := obs.Capture()
	d := &daemon{log: log, server: authserver.New(authserver.Config{Auth: &authtest.Service{}})}
	for _, tc := range []struct {
		says string
		kind authserver.Kind
		want string
	}{
		{"", authserver.Client, "DEBUG"},
		{"", authserver.Login, "DEBUG"},
		{"", authserver.Userdb, "DEBUG"},
		{"VERSION\t1\t2\nCPID\t1\n", authserver.Client, "DEBUG"},
		{"NONSENSE\n", authserver.Login, "WARN"},
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(tc.says)); err != nil {
			t.Fatal(err)
		}
		end := c.Close
		if tc.want == "WARN" {
			end = c.(*net.UnixConn).CloseWrite
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		d.ended(conn, tc.kind.String(), d.server.Serve(t.Context(), conn, tc.kind, authserver.Peer{}))
		_ = c.Close()
		events := rec.Events()
		e := events[len(events)-1]
		if e.Event() != "connection dropped" || e.Level().String() != tc.want {
			t.Errorf("%s, %q: %s %s %s", tc.kind, tc.says, e.Level(), e.Event(), e.Attrs())
		}
		if _, text := e.Classic(); (text == "") != (tc.want == "DEBUG") {
			t.Errorf("%s, %q: %q", tc.kind, tc.says, text)
		}
	}
	if n := len(rec.Events()); n != 5 {
		t.Errorf("%d events", n)
	}
}

// Containers ask over TCP, from where the listener says.
func TestOverTCP(t *testing.T) {
	from := func(network string) (addr string, l conf.Listen) {
		addr = netxtest.Port(t)
		return "inet:" + addr, conf.Listen{Address: addr, AllowNetworks: []conf.Network{conf.MustNetwork(network)}}
	}
	here, open := from("127.0.0.0/8")
	lookups, userdb := from("127.0.0.1")
	elsewhere, closed := from("192.0.2.0/24")
	newWorld(t, func(c *authconf.Config) {
		c.Listeners = []authconf.Listener{{Type: "client", Listen: open}, {Type: "userdb", Listen: userdb}, {Type: "client", Listen: closed}}
	})
	c := authclient.New(authclient.Config{Address: here})
	defer c.Close()
	if r, err := try(t.Context(), c, "", "bob@example.org", "secret"); err != nil || r.User != "bob@example.org" {
		t.Error(r, err)
	}
	u := userdbclient.New(userdbclient.Config{Address: lookups})
	defer u.Close()
	if r, err := u.User(t.Context(), "bob@example.org", "lmtp"); err != nil || r.Home != "/home/bob" {
		t.Error(r, err)
	}
	no := authclient.New(authclient.Config{Address: elsewhere, Patience: 1})
	defer no.Close()
	if _, err := try(t.Context(), no, "", "bob@example.org", "secret"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}
