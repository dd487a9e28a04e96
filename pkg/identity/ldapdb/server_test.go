package ldapdb

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/ldapwire"
	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// Each way in which a server can fail is an outage within the time, and over
// when the server is well again.
func TestServerFails(t *testing.T) {
	garbage := func(bytes string) func(f *fake) func(net.Conn, int64, ldapOp) bool {
		return func(*fake) func(net.Conn, int64, ldapOp) bool {
			return func(c net.Conn, _ int64, _ ldapOp) bool {
				_, _ = c.Write([]byte(bytes))
				_, _ = c.Read(make([]byte, 1))
				return true
			}
		}
	}
	for what, misbehave := range map[string]func(f *fake) func(net.Conn, int64, ldapOp) bool{
		"hangs": func(f *fake) func(net.Conn, int64, ldapOp) bool {
			return func(c net.Conn, _ int64, _ ldapOp) bool { return f.hang(c) }
		},
		"dies": func(*fake) func(net.Conn, int64, ldapOp) bool {
			return func(net.Conn, int64, ldapOp) bool { return true }
		},
		"speaks HTTP":       garbage("HTTP/1.1 400 Bad Request\r\n\r\n"),
		"announces 2 GiB":   garbage("\x30\x84\x7f\xff\xff\xff\x02"),
		"indefinite length": garbage("\x30\x80\x02\x01\x01\x00\x00"),
		"nests deeply":      garbage("\x30\x20" + strings.Repeat("\x30\x1e", 16)),
		"half a message":    garbage("\x30\x0c\x02\x01"),
		"empty message":     garbage("\x30\x00"),
		"no operation":      garbage("\x30\x03\x02\x01\x01"),
		"a strange answer": func(*fake) func(net.Conn, int64, ldapOp) bool {
			return func(c net.Conn, id int64, _ ldapOp) bool {
				reply(c, id, ber.NewSequence(""))
				_, _ = c.Read(make([]byte, 1))
				return true
			}
		},
		"answers without end": func(*fake) func(net.Conn, int64, ldapOp) bool {
			return func(c net.Conn, id int64, _ ldapOp) bool {
				m := envelope(id, entryPacket(alice()))
				for {
					if _, err := c.Write(m); err != nil {
						return true
					}
				}
			}
		},
		"somebody else's answer": func(*fake) func(net.Conn, int64, ldapOp) bool {
			return func(c net.Conn, id int64, _ ldapOp) bool {
				reply(c, id+1000, result(ldap.ApplicationSearchResultDone, 0, ""))
				_, _ = c.Read(make([]byte, 1))
				return true
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
			f.passwords[aliceDN] = "secret"
			s, k := clocked(t, f.config())
			db, v := lookuper(t, s, people()), verifier(t, s, people())
			check := func(want bool) {
				t.Helper()
				// No answer is waited for shortly, an answer patiently.
				s.cfg = s.cfg.within(200 * time.Millisecond)
				if want {
					s.cfg = s.cfg.within(time.Minute)
				}
				began := time.Now()
				_, err := db.Lookup(t.Context(), who("alice"))
				_, verr := v.Verify(t.Context(), who("alice"), "secret")
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("took %s", took)
				}
				for _, err := range []error{err, verr} {
					if want && err != nil || !want && (!fail.Is(err, fail.Unavailable) || passdb.RefusedOf(err) != nil) {
						t.Error(err)
					}
				}
			}
			check(true)
			f.set(func() { f.misbehave = misbehave(f) })
			check(false)
			check(false)
			f.set(func() { f.misbehave = nil })
			k.advance(time.Minute)
			check(true)
		})
	}
}

// While a server is known to be down, requests fail at once and leave it alone.
func TestBackoff(t *testing.T) {
	f := newFake(t)
	f.misbehave = func(net.Conn, int64, ldapOp) bool { return true }
	s, k := clocked(t, f.config())
	db := lookuper(t, s, people())
	ask := func() int64 {
		before := f.accepted.Load()
		if _, err := db.Lookup(t.Context(), who("alice")); !fail.Is(err, fail.Unavailable) {
			t.Error(err)
		}
		return f.accepted.Load() - before
	}
	var tries int64
	for range 10 {
		tries += ask()
	}
	if tries != 1 {
		t.Errorf("%d tries at once", tries)
	}
	for _, wait := range []time.Duration{250, 500, 1000, 2000, 4000, 8000, 10000, 10000} {
		k.advance(wait*time.Millisecond - 100*time.Millisecond)
		if n := ask(); n != 0 {
			t.Errorf("tried %d times before %s", n, wait*time.Millisecond)
		}
		k.advance(100 * time.Millisecond)
		if n := ask(); n != 1 {
			t.Errorf("tried %d times after %s", n, wait*time.Millisecond)
		}
	}
}

func TestFailOver(t *testing.T) {
	first, second := newFake(t), newFake(t)
	for _, f := range []*fake{first, second} {
		f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
		f.passwords[aliceDN] = "secret"
	}
	s, k := clocked(t, first.config(second))
	db := lookuper(t, s, people())
	v := verifier(t, s, people())
	both := func() {
		t.Helper()
		if _, err := db.Lookup(t.Context(), who("alice")); err != nil {
			t.Error(err)
		}
		if _, err := v.Verify(t.Context(), who("alice"), "secret"); err != nil {
			t.Error(err)
		}
	}
	both()
	if second.accepted.Load() != 0 {
		t.Error("the second was asked without need")
	}
	// The first goes away: nobody notices.
	addr := first.addr
	first.stop()
	both()
	if second.accepted.Load() == 0 {
		t.Error("who answered?")
	}
	// It comes back, and after a while it is asked again.
	first.start(addr)
	before := first.accepted.Load()
	k.advance(lifetime + time.Minute)
	both()
	if first.accepted.Load() == before {
		t.Error("the first is never asked again")
	}
	// It hangs: one timeout, then the second.
	first.set(func() { first.misbehave = func(c net.Conn, _ int64, _ ldapOp) bool { return first.hang(c) } })
	s.cfg = s.cfg.within(2 * time.Second)
	for range 20 {
		both()
	}
	if n := len(first.hanging); n != 1 {
		t.Errorf("%d requests hung", n)
	}
	// When it may be tried again, one request does so; the others go on.
	k.advance(lifetime + time.Minute)
	s.cfg = s.cfg.within(time.Minute)
	ctx, cancel := context.WithCancel(t.Context())
	var prober sync.WaitGroup
	prober.Go(func() { _, _ = db.Lookup(ctx, who("alice")) })
	<-first.hanging
	<-first.hanging
	for range 5 {
		both()
	}
	cancel()
	prober.Wait()
	// Now the second as well: an outage.
	second.set(func() { second.misbehave = func(net.Conn, int64, ldapOp) bool { return true } })
	if _, err := db.Lookup(t.Context(), who("alice")); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

// An idle connection that the server closed costs nobody anything.
func TestStaleConnections(t *testing.T) {
	f := newFake(t)
	f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
	s, k := clocked(t, f.config())
	db := lookuper(t, s, people())
	for round := range 5 {
		if _, err := db.Lookup(t.Context(), who("alice")); err != nil {
			t.Error(err)
		}
		if n := f.accepted.Load(); n != int64(round+1) {
			t.Errorf("%d connections in round %d", n, round)
		}
		if round%2 == 0 {
			f.drop()
		} else {
			k.advance(6 * time.Minute) // above idle_timeout
		}
	}
}

// One slow request holds up nobody but itself, and the number of connections
// is bounded.
func TestConnectionsAreBounded(t *testing.T) {
	f := newFake(t)
	f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
	c := f.config()
	c.Connections = 3
	release := make(chan struct{})
	f.misbehave = func(_ net.Conn, _ int64, op ldapOp) bool {
		if op.filter == "(uid=slow)" {
			f.hanging <- struct{}{}
			<-release
		}
		return false
	}
	s := connect(t, c)
	db := lookuper(t, s, people())
	var slow, quick sync.WaitGroup
	for range 2 {
		slow.Go(func() {
			if _, err := db.Lookup(t.Context(), who("slow")); !fail.Is(err, fail.NotFound) {
				t.Error(err)
			}
		})
	}
	<-f.hanging
	<-f.hanging
	for range 50 {
		quick.Go(func() {
			if _, err := db.Lookup(t.Context(), who("alice")); err != nil {
				t.Error(err)
			}
		})
	}
	quick.Wait()
	// With all three taken, the next waits for as long as a search may take.
	slow.Go(func() { _, _ = db.Lookup(t.Context(), who("slow")) })
	<-f.hanging
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := db.Lookup(ctx, who("alice")); !fail.Is(err, fail.Unavailable) || !strings.Contains(err.Error(), "busy") {
		t.Error(err)
	}
	close(release)
	slow.Wait()
	if n := f.accepted.Load(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

// After Close, requests of an old configuration still come to their end, and
// leave nothing open.
func TestClose(t *testing.T) {
	f := newFake(t)
	f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
	s, err := newServer("test", f.config(), Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	db := lookuper(t, s, people())
	for range 2 {
		if _, err := db.Lookup(t.Context(), who("alice")); err != nil {
			t.Error(err)
		}
		s.close()
	}
	if len(s.searching.idle) != 0 || f.accepted.Load() != 2 {
		t.Error("a connection is kept")
	}
}

func TestCheck(t *testing.T) {
	f := newFake(t)
	s := connect(t, f.config())
	if err := s.check(t.Context()); err != nil {
		t.Error(err)
	}
	f.set(func() { f.results["(objectClass=*)"] = ldap.LDAPResultInsufficientAccessRights })
	if err := s.check(t.Context()); err != nil {
		t.Error(err)
	}
	f.stop()
	if err := s.check(t.Context()); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
}

// certificate makes a key pair for host; the CA file is the certificate.
func certificate(t *testing.T, host string) (config *tls.Config, ca string) {
	t.Helper()
	cert, key, err := tlsx.SelfSigned([]string{host}, time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}, ca
}

func TestStartTLS(t *testing.T) {
	right, rightCA := certificate(t, "127.0.0.1")
	other, otherCA := certificate(t, "ldap.example.org")
	expiredNow := func() time.Time { return time.Now().Add(48 * time.Hour) }
	for _, tc := range []struct {
		name   string
		tls    *tls.Config
		ca     string
		verify bool
		now    func() time.Time
		ok     bool
	}{
		{"trusted", right, rightCA, true, time.Now, true},
		{"expired", right, rightCA, true, expiredNow, false},
		{"another host", other, otherCA, true, time.Now, false},
		{"unknown authority", right, otherCA, true, time.Now, false},
		{"the system's authorities", right, "", true, time.Now, false},
		{"not verified", other, "", false, time.Now, true},
		{"refused by the server", nil, rightCA, true, time.Now, false},
		{"no such file", right, "/nonexistent", true, time.Now, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t)
			f.tls = tc.tls
			f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
			f.passwords[aliceDN] = "secret"
			c := f.config()
			c.StartTLS, c.CAFile, c.TLSVerify = true, tc.ca, tc.verify
			s, err := newServer("test", c, Options{Now: tc.now})
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			_, err = verifier(t, s, people()).Verify(t.Context(), who("alice"), "secret")
			if tc.ok != (err == nil) || (!tc.ok && !fail.Is(err, fail.Unavailable)) {
				t.Error(err)
			}
			if !tc.ok && len(f.binds)+len(f.searches) != 0 {
				t.Error("the server was told something")
			}
		})
	}
}

// What came in the clear before TLS never counts as said under TLS.
func TestStartTLSInjection(t *testing.T) {
	config, ca := certificate(t, "127.0.0.1")
	f := newFake(t)
	f.misbehave = func(c net.Conn, id int64, op ldapOp) bool {
		if op.tag != ldap.ApplicationExtendedRequest {
			return false
		}
		// The answer, and behind it one to the bind that will come.
		m := envelope(id, result(ldap.ApplicationExtendedResponse, 0, ""))
		m = append(m, envelope(1, result(ldap.ApplicationBindResponse, 0, ""))...)
		_, _ = c.Write(m)
		_ = tls.Server(c, config).Handshake()
		_, _ = c.Read(make([]byte, 1))
		return true
	}
	c := f.config()
	c.StartTLS, c.CAFile = true, ca
	tpl := people()
	tpl.AuthBindUserDN = "uid=%n,dc=x"
	if a, err := verifier(t, connect(t, c), tpl).Verify(t.Context(), who("alice"), "guess"); err == nil {
		t.Errorf("logged in: %+v", a)
	}
}

func TestURIs(t *testing.T) {
	for uri, want := range map[string]ldapwire.Target{
		"ldap://ldap.example.org":        {Network: "tcp", Addr: "ldap.example.org:389", Host: "ldap.example.org"},
		"LDAPS://ldap.example.org:1636/": {Network: "tcp", Addr: "ldap.example.org:1636", Host: "ldap.example.org", TLS: true},
		"ldap://[::1]":                   {Network: "tcp", Addr: "[::1]:389", Host: "::1", Local: true},
		"ldaps://127.0.0.1":              {Network: "tcp", Addr: "127.0.0.1:636", Host: "127.0.0.1", TLS: true, Local: true},
		"ldapi://%2Frun%2Fldapi":         {Network: "unix", Addr: "/run/ldapi", Local: true},
		"ldapi:///":                      {Network: "unix", Addr: "/run/slapd/ldapi", Local: true},
	} {
		want.URI = uri
		if got, err := ldapwire.ParseURI(uri); got != want || err != nil {
			t.Errorf("%s: %+v %v", uri, got, err)
		}
	}
	for _, bad := range []string{"", "ldap.example.org", "http://x", "ldap://", "ldap://u:p@x", "ldap://x/dc=y", "ldap://x?y", "ldapi://run", "ldapi://%zz", "ldap://x:port"} {
		if got, err := ldapwire.ParseURI(bad); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %+v", bad, got)
		}
	}
}
