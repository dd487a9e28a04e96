package authserver

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/internal/seal"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
)

// A session role that has given authd a key gets the answer to the redemption
// with the login: once, and then there is nothing left to redeem. Whoever does not
// name the key, or names one that nobody has, redeems as ever.
func TestSealedLogin(t *testing.T) {
	w := &world{}
	srv := New(Config{Auth: w, Directory: w})
	dir := t.TempDir()
	listen(t, srv, Login, filepath.Join(dir, "login"))
	stopMaster := listen(t, srv, Master, filepath.Join(dir, "master"))
	ac := authclient.New(authclient.Config{Address: filepath.Join(dir, "login")})
	defer ac.Close()
	uc := userdbclient.New(userdbclient.Config{Address: filepath.Join(dir, "master")})
	defer uc.Close()
	if err := uc.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	plain := func(key, user string) authclient.Result {
		_, step, err := ac.Start(t.Context(), authclient.Request{Mech: "PLAIN", Service: "imap", Seal: key, Initial: []byte("\x00" + user + "\x00pw")})
		if err != nil || !step.Done {
			t.Fatal(step, err)
		}
		return step.Result
	}
	redeem := func(r authclient.Result) error {
		_, err := uc.Redeem(t.Context(), r.PID, r.RequestID, r.Cookie, 0)
		return err
	}
	for _, key := range []string{"", "of nobody"} {
		if r := plain(key, "alice"); r.Sealed != "" || redeem(r) != nil {
			t.Errorf("key %q: %+v", key, r)
		}
	}
	key := uc.SealName()
	r := plain(key, "alice")
	if key == "" || r.Sealed == "" || strings.Contains(r.Sealed, "alice") {
		t.Fatalf("key %q: %+v", key, r)
	}
	if err := redeem(r); !fail.Is(err, fail.Denied) {
		t.Errorf("a sealed login can be redeemed as well: %v", err)
	}
	if _, err := uc.Unseal(r.PID, r.RequestID+1, r.Sealed); !fail.Is(err, fail.Denied) {
		t.Errorf("opened for another login: %v", err)
	}
	u, err := uc.Unseal(r.PID, r.RequestID, r.Sealed)
	if err != nil || u.User != "alice" || u.UID != 103 || u.Fields.Get("auth_mech") != "PLAIN" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := uc.Unseal(r.PID, r.RequestID, r.Sealed); !fail.Is(err, fail.Denied) {
		t.Errorf("opened twice: %v", err)
	}
	if r := plain(key, "nora"); r.Sealed != "" {
		t.Errorf("a login that is good for nothing is sealed: %+v", r)
	}
	stopMaster()
	if r := plain(key, "alice"); r.Sealed != "" {
		t.Errorf("sealed with the key of a connection that is over: %+v", r)
	}
}

// The key of a session role is taken from nobody else, and once a connection.
func TestWhoMaySeal(t *testing.T) {
	key, name := seal.NewKey()
	for _, c := range []struct {
		what string
		kind Kind
		peer Peer
		line string
		want string
	}{
		{"a key", Master, Peer{}, sealLine("1", name, key.Hex()), "OK\t1"},
		{"no key", Master, Peer{}, sealLine("1", name, "00"), "FAIL\t1"},
		{"no name", Master, Peer{}, sealLine("1", "", key.Hex()), "FAIL\t1"},
		{"a long name", Master, Peer{}, sealLine("1", strings.Repeat("n", seal.MaxName+1), key.Hex()), "FAIL\t1"},
		{"userdb", Userdb, Peer{}, sealLine("1", name, key.Hex()), "FAIL\t1"},
		{"exists", Exists, Peer{}, sealLine("1", name, key.Hex()), "FAIL\t1"},
		{"anybody", Master, Peer{UID: 1000, Restricted: true}, sealLine("1", name, key.Hex()), "FAIL\t1"},
		{"a second one", Master, Peer{}, sealLine("1", name, key.Hex()) + sealLine("2", name+"2", key.Hex()), "FAIL\t2"},
	} {
		if got := lastAnswer(t, c.kind, c.peer, c.line); got != c.want {
			t.Errorf("%s: %q", c.what, got)
		}
	}
}

func sealLine(params ...string) string {
	return string(dovecotauth.AppendLine(nil, "SEAL", params...))
}

// lastAnswer is what a master connection says last to lines.
func lastAnswer(t *testing.T, kind Kind, peer Peer, lines string) string {
	t.Helper()
	near, far := net.Pipe()
	w := &world{}
	srv := New(Config{Auth: w, Directory: w})
	done := make(chan error, 1)
	go func() { done <- srv.Serve(t.Context(), far, kind, peer) }()
	r := dovecotauth.NewReader(near)
	read := func() dovecotauth.Line {
		l, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	read() // VERSION
	read() // SPID
	if _, err := io.WriteString(near, "VERSION\t1\t1\n"); err != nil {
		t.Fatal(err)
	}
	var last dovecotauth.Line
	for line := range strings.Lines(lines) {
		if _, err := io.WriteString(near, line); err != nil {
			t.Fatal(err)
		}
		last = read()
	}
	_ = near.Close()
	<-done
	if n := len(srv.seals.all); n != 0 {
		t.Errorf("%d keys outlive their connection", n)
	}
	return strings.Join(append([]string{last.Verb}, last.Params...), "\t")
}
