package whole

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postcote/postcote/test/suite"
)

// authd away: temporary answers everywhere, never a rejection, and service
// resumes by itself.
func TestAuthdDown(t *testing.T) {
	s := start(t, suite.Options{})
	alice := s.Accounts[0]
	s.Procs["authd"].Kill()

	// The listening sockets outlive authd, as under systemd; callers wait and
	// give up in time, so this takes as long as their patience.
	if err := submit(t, s, alice, alice.Name, letter(alice.Name, "x")); err == nil || !strings.Contains(err.Error(), "454") {
		t.Errorf("AUTH while authd is down: %v, want 454", err)
	}
	if err := send(s.Addr(25), "x@elsewhere.test", alice.Name, letter(alice.Name, "x")); err == nil || !strings.Contains(err.Error(), "45") {
		t.Errorf("RCPT while authd is down: %v, want 45x", err)
	}
	c, err := imapclient.DialTLS(s.Addr(993), &imapclient.Options{TLSConfig: trust(t, s)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(alice.Name, alice.Password).Wait(); err == nil || !strings.Contains(err.Error(), "UNAVAILABLE") {
		t.Errorf("LOGIN while authd is down: %v, want [UNAVAILABLE]", err)
	}
	if err := s.Procs["authd"].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "service resumes", func() bool {
		return send(s.Addr(25), "x@elsewhere.test", alice.Name, letter(alice.Name, "after")) == nil
	})
	login(t, s, alice)
}

// deliverd away: mail is accepted, stays queued over a restart of mtad, and
// arrives later.
func TestDeliverdDown(t *testing.T) {
	s := start(t, suite.Options{})
	alice := s.Accounts[0]
	s.Procs["deliverd"].Kill()
	if err := send(s.Addr(25), "x@elsewhere.test", alice.Name, letter(alice.Name, "patient")); err != nil {
		t.Fatal(err)
	}
	s.Procs["mtad"].Kill()
	if err := s.Procs["mtad"].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := subjects(s, "alice")["patient"]; n != 0 {
		t.Fatalf("delivered %d times without deliverd", n)
	}
	if err := s.Procs["deliverd"].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message arrives", func() bool { return subjects(s, "alice")["patient"] == 1 })
}

// Every process ends by itself on SIGTERM and comes back with its state.
func TestRestart(t *testing.T) {
	s := start(t, suite.Options{})
	alice := s.Accounts[0]
	for _, name := range suite.Names {
		s.Procs[name].Stop()
		if err := s.Procs[name].Start(t.Context()); err != nil {
			t.Fatalf("%s does not come back: %v", name, err)
		}
	}
	if err := send(s.Addr(25), "x@elsewhere.test", alice.Name, letter(alice.Name, "again")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "delivery", func() bool { return subjects(s, "alice")["again"] == 1 })
	login(t, s, alice)
}
