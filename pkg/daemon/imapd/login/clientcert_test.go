package login

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/tlsx"
)

// TestExternal: a certificate of our authority logs in the user it names and
// nobody else; without one EXTERNAL is neither offered nor served.
func TestExternal(t *testing.T) {
	dir := t.TempDir()
	pair := func(name string, users ...string) (certFile string, cert tls.Certificate) {
		certFile = filepath.Join(dir, name+".pem")
		key := filepath.Join(dir, name+".key")
		err := tlsx.WriteSelfSigned(certFile, key, users, time.Now(), time.Hour)
		if err == nil {
			cert, err = tls.LoadX509KeyPair(certFile, key)
		}
		if err != nil {
			t.Fatal(err)
		}
		return certFile, cert
	}
	ca, ours := pair("ours", "alice")
	_, foreign := pair("foreign", "alice")
	namelessFile, nameless := pair("nameless", "")
	var authorities []byte
	for _, file := range []string{ca, namelessFile} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		authorities = append(authorities, text...)
	}
	if err := os.WriteFile(ca, authorities, 0o600); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, options{change: func(c *Config) { c.TLS.ClientCAFile = ca }})
	const noIMAP, noPOP3 = "a NO Unsupported authentication mechanism.", "-ERR [AUTH] Unsupported authentication mechanism."
	for _, tc := range []struct {
		what, authzid string // base64
		cert          *tls.Certificate
		offered       bool
		imap, pop3    string
	}{
		{"ours", "=", &ours, true, "a OK Logged in as alice", "+OK Logged in. as alice"},
		{"ours, as its name", "YWxpY2U=", &ours, true, "a OK Logged in as alice", "+OK Logged in. as alice"},
		{"ours, as bob", "Ym9i", &ours, true, "a NO [AUTHENTICATIONFAILED] Authentication failed.", "-ERR [AUTH] Authentication failed."},
		{"foreign", "=", &foreign, false, noIMAP, noPOP3},
		{"foreign, as alice", "YWxpY2U=", &foreign, false, noIMAP, noPOP3},
		{"CVE-2019-3814 one that names nobody", "=", &nameless, false, noIMAP, noPOP3},
		{"CVE-2019-3814 one that names nobody, as alice", "YWxpY2U=", &nameless, false, noIMAP, noPOP3},
		{"none", "YWxpY2U=", nil, false, noIMAP, noPOP3},
	} {
		client := &tls.Config{InsecureSkipVerify: true}
		if tc.cert != nil {
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tc.cert, nil }
		}
		offer, answer := w.tryExternal("imaps", client, "a CAPABILITY", "a AUTHENTICATE EXTERNAL "+tc.authzid)
		if strings.Contains(offer, "AUTH=EXTERNAL") != tc.offered || answer != tc.imap {
			t.Errorf("IMAP, %s: offered %q, answered %q", tc.what, offer, answer)
		}
		offer, answer = w.tryExternal("pop3s", client, "CAPA", "AUTH EXTERNAL "+tc.authzid)
		if strings.Contains(offer, " EXTERNAL") != tc.offered || answer != tc.pop3 {
			t.Errorf("POP3, %s: offered %q, answered %q", tc.what, offer, answer)
		}
	}
}

// tryExternal asks what is offered, logs in, and returns both answers.
func (w *world) tryExternal(door string, client *tls.Config, ask, login string) (offer, answer string) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.doors[door].Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	tc := tls.Client(c, client)
	r := bufio.NewReader(tc)
	line := func() string {
		l, err := r.ReadString('\n')
		if err != nil {
			w.t.Fatal(err)
		}
		return strings.TrimRight(l, "\r\n")
	}
	line()
	fmt.Fprintf(tc, "%s\r\n", ask)
	for {
		l := line()
		offer += l + "\n"
		if l == "." || strings.HasPrefix(l, "a ") {
			break
		}
	}
	fmt.Fprintf(tc, "%s\r\n", login)
	return offer, line()
}
