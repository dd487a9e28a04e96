package login

import (
	"net"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/proto/imap/wire/wiretest"
)

// A client that the session role gives back logs in again on the same TLS
// connection (RFC 8437), in one round trip if it likes; each login is one of
// its own to authd, the limits and the log.
func TestUnauthenticate(t *testing.T) {
	w := newWorld(t, options{change: func(c *Config) { c.Unauthenticate = true }})
	defer w.stop()
	for door, before := range map[string]string{
		"imaps": "",
		"imap":  "C: s STARTTLS\nS: s OK Begin TLS negotiation now.\nTLS\n",
	} {
		t.Run(door, func(t *testing.T) {
			script := &wiretest.Script{Dial: func(int) net.Conn { return w.dial(door) }, Upgrade: shake}
			script.Play(t, "again", "S: * OK <any>\n"+before+`C: a LOGIN alice secret
S: a OK Logged in as alice
C: hello
S: echo hello
# A pipelined login, and the first command behind it.
C~ LEAVE\r\nb LOGIN alice secret\r\nsalut\r\n
S: left
S: b OK Logged in as alice
S: echo salut
C: SEND 100000
C: LEAVE
S: `+strings.Repeat("x", 100_000)+`left
# Without a login there is nothing behind, and no greeting.
C: c CAPABILITY
S: * CAPABILITY IMAP4rev1 <any>
S: c OK <any>
C: d LOGIN alice wrong
S: d NO [AUTHENTICATIONFAILED] Authentication failed.
C: e STARTTLS
S: e BAD TLS is already active.
C: f LOGIN alice secret
S: f OK Logged in as alice
C: BYE
S: bye
EOF
`)
		})
	}
	sessions := map[string]bool{}
	if n := len(w.session.frames); n != 6 {
		t.Fatalf("%d logins were handed over", n)
	}
	for range 6 {
		f := <-w.session.frames
		if !f.Returnable || sessions[f.Session] {
			t.Errorf("%+v", f)
		}
		sessions[f.Session] = true
	}
}

// Without TLS the connection goes through the pump too, so that it can be
// taken back; TLS may begin between two logins.
func TestUnauthenticateWithoutTLS(t *testing.T) {
	w := newWorld(t, options{change: func(c *Config) { c.Unauthenticate = true }})
	defer w.stop()
	script := &wiretest.Script{Dial: func(int) net.Conn { return w.dial("imap") }, Upgrade: shake}
	script.Play(t, "plain", `S: * OK <any>
C: a LOGIN alice secret
S: a OK Logged in as alice
C: hello
S: echo hello
C~ LEAVE\r\nb LOGIN alice secret\r\nsalut\r\n
S: left
S: b OK Logged in as alice
S: echo salut
C: SEND 100000
C: LEAVE
S: `+strings.Repeat("x", 100_000)+`left
C: c LOGIN alice wrong
S: c NO [AUTHENTICATIONFAILED] Authentication failed.
C: d STARTTLS
S: d OK Begin TLS negotiation now.
TLS
C: e LOGIN alice secret
S: e OK Logged in as alice
C: LEAVE
S: left
C: f STARTTLS
S: f BAD TLS is already active.
C: g LOGIN alice secret
S: g OK Logged in as alice
C: BYE
S: bye
EOF
`)
	if n := len(w.session.frames); n != 4 {
		t.Fatalf("%d logins were handed over", n)
	}
	for i := range 4 {
		if f := <-w.session.frames; !f.Returnable || (f.TLSVersion != "") != (i >= 2) {
			t.Errorf("%+v", f)
		}
	}
}

// Where it is not offered the session role gets the descriptor itself, and can
// give nothing back.
func TestUnauthenticateNotOffered(t *testing.T) {
	w := newWorld(t, options{})
	defer w.stop()
	script := &wiretest.Script{Dial: func(int) net.Conn { return w.dial("imap") }}
	script.Play(t, "plain", "S: * OK <any>\nC: a LOGIN alice secret\nS: a OK Logged in as alice\nC: LEAVE\nS: echo LEAVE\n")
	if f := <-w.session.frames; f.Returnable {
		t.Errorf("%+v", f)
	}
}
