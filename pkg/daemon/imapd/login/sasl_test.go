package login

import (
	"bufio"
	"context"
	"crypto/md5"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/tlsx"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// authenticate logs in to IMAP with our own SASL client and returns the tagged
// answer.
func authenticate(t *testing.T, conn net.Conn, mech string, c sasl.Credentials) string {
	t.Helper()
	if tc, ok := conn.(*tls.Conn); ok {
		c.Binder = tlsx.ClientBinding(tc.ConnectionState())
	}
	client, err := sasl.NewClient(mech, c)
	if err != nil {
		t.Fatal(err)
	}
	name, response, err := client.Start()
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "a AUTHENTICATE %s %s\r\n", name, base64.StdEncoding.EncodeToString(response))
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		text, more := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "+ ")
		if !more {
			if err := sasl.Complete(client); err != nil && strings.HasPrefix(text, "a OK") {
				t.Error(err)
			}
			return text
		}
		challenge, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if response, err = client.Next(challenge); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s\r\n", base64.StdEncoding.EncodeToString(response))
	}
}

// A proof that is bound to the TLS connection reaches authd, and one that was
// made for another connection is worth nothing (CVE-2026-33603).
func TestSCRAM(t *testing.T) {
	w := newWorld(t, options{})
	right, wrong := sasl.Credentials{Authcid: "alice", Password: "secret"}, sasl.Credentials{Authcid: "alice", Password: "wrong"}
	for _, tc := range []struct {
		door, mech string
		c          sasl.Credentials
		want       string
	}{
		{"imaps", "SCRAM-SHA-256-PLUS", right, "a OK Logged in as alice"},
		{"imaps", "SCRAM-SHA-256-PLUS", wrong, "a NO [AUTHENTICATIONFAILED] Authentication failed."},
		{"imaps", "SCRAM-SHA-256", right, "a OK Logged in as alice"},
		{"imap", "SCRAM-SHA-256", right, "a OK Logged in as alice"},
	} {
		if got := authenticate(t, w.dial(tc.door), tc.mech, tc.c); got != tc.want {
			t.Errorf("%s %s: %s", tc.door, tc.mech, got)
		}
	}
	// A man in the middle has two connections, and relays what he hears.
	victims := w.dial("imaps").(*tls.Conn)
	right.Binder = tlsx.ClientBinding(victims.ConnectionState())
	if got := authenticate(t, struct{ net.Conn }{w.dial("imaps")}, "SCRAM-SHA-256-PLUS", right); got != "a NO [AUTHENTICATIONFAILED] Authentication failed." {
		t.Errorf("relayed: %s", got)
	}
}

// APOP with the challenge of the greeting, and with one that authd knows no
// more, which is no fault of the client's.
func TestAPOP(t *testing.T) {
	w := newWorld(t, options{})
	begin := func() (net.Conn, *bufio.Reader, string) {
		c := w.dial("pop3")
		r := bufio.NewReader(c)
		greeting, err := r.ReadString('\n')
		i := strings.IndexByte(greeting, '<')
		if err != nil || i < 0 {
			t.Fatalf("%q %v", greeting, err)
		}
		return c, r, strings.TrimRight(greeting[i:], "\r\n")
	}
	answer := func(c net.Conn, r *bufio.Reader, challenge, password string) string {
		sum := md5.Sum([]byte(challenge + password))
		fmt.Fprintf(c, "APOP alice %s\r\n", hex.EncodeToString(sum[:]))
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimRight(line, "\r\n")
	}
	c, r, challenge := begin()
	if got := answer(c, r, challenge, "wrong"); got != "-ERR [AUTH] Authentication failed." {
		t.Errorf("wrong password: %s", got)
	}
	if got := answer(c, r, challenge, "secret"); got != "+OK Logged in. as alice" {
		t.Errorf("right password: %s", got)
	}
	c, r, challenge = begin()
	before := w.role.offer.known.Load().stamp
	w.authd.stop()
	w.authd.start()
	for w.role.offer.known.Load().stamp == before { // the old connection has to be missed first
		_ = w.role.offer.refresh(context.Background(), w.role.auth)
	}
	if got := answer(c, r, challenge, "secret"); got != "-ERR [SYS/TEMP] Temporary authentication failure." {
		t.Errorf("after a restart of authd: %s", got)
	}
	c, r, challenge = begin()
	if got := answer(c, r, challenge, "secret"); got != "+OK Logged in. as alice" {
		t.Errorf("after that: %s", got)
	}
}
