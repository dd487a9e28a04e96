//go:build interop

package interop

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// certificateSuite is a suite that takes client certificates of ca, which name
// the user in field.
func certificateSuite(t *testing.T, ca, field string) *suite.Suite {
	t.Helper()
	asks := func(c string) string {
		return strings.Replace(c, "\ntls:\n", fmt.Sprintf("\ntls:\n  client_ca_file: %q\n  cert_username_field: %s\n", ca, field), 1)
	}
	return start(t, map[string]func(string) string{"mtad": asks, "imapd-login": asks, "authd": func(c string) string {
		return c + "\nlogin: {mechanisms: [PLAIN, EXTERNAL], failure_delay: 0s, penalty: false}\n"
	}})
}

// speaker is a protocol over TLS in which one can log in.
type speaker struct {
	port           int
	greeting       string // what its last line begins with
	ask, told      string // what is offered: the command, and what the last line begins with
	login          string // what comes before the initial response
	offers         string
	taken, refused string // what the answer begins with
}

var speakers = map[string]speaker{
	"SMTP": {465, "220 ", "EHLO client.test", "250 ", "AUTH EXTERNAL ", " EXTERNAL", "235 2.7.0", "535 5.7.8"},
	"IMAP": {993, "* OK", "a CAPABILITY", "a OK", "b AUTHENTICATE EXTERNAL ", "AUTH=EXTERNAL", "b OK", "b NO [AUTH"},
	"POP3": {995, "+OK", "CAPA", ".", "AUTH EXTERNAL ", " EXTERNAL", "+OK", "-ERR [AUTH]"},
}

// external logs in with a certificate, as somebody if that is not empty.
func (p speaker) external(t *testing.T, s *suite.Suite, cert *tls.Certificate, as string) (offered bool, answer string) {
	t.Helper()
	conf := &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if cert == nil {
			return &tls.Certificate{}, nil
		}
		return cert, nil // also one whose authority the server does not name
	}}
	c, err := tls.Dial("tcp", s.Addr(p.port), conf)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	lines := bufio.NewReader(c)
	until := func(last string) (all string) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%v after %q", err, all)
			}
			if all += line; last == "" || strings.HasPrefix(line, last) {
				return all
			}
		}
	}
	until(p.greeting)
	fmt.Fprintf(c, "%s\r\n", p.ask)
	offer := until(p.told)
	response := "="
	if as != "" {
		response = base64Of(as)
	}
	fmt.Fprintf(c, "%s%s\r\n", p.login, response)
	answer = until("")
	for strings.HasPrefix(answer, "* ") { // untagged
		answer = until("")
	}
	return strings.Contains(offer, p.offers), answer
}

// A client certificate logs in the user whom it names, at every protocol, and
// nothing else does: the whole way from TLS to authd's database.
func TestExternalThroughAuthd(t *testing.T) {
	dir := t.TempDir()
	ours := newAuthority(t, tempDir(t, "ca"))
	foreign := newAuthority(t, dir)
	const alice, bob = "alice@" + suite.Domain, "bob@" + suite.Domain
	named := func(a *certAuthority, file string, subject pkix.Name, change func(*x509.Certificate)) *tls.Certificate {
		cert, err := tls.LoadX509KeyPair(a.leaf(file, subject, x509.ExtKeyUsageClientAuth, change))
		if err != nil {
			t.Fatal(err)
		}
		return &cert
	}
	byMail := func(names ...string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.EmailAddresses = names }
	}
	old := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	own := pkix.Name{CommonName: alice}
	type login struct {
		what    string
		cert    *tls.Certificate
		as      string
		offered bool
		taken   bool
	}
	for field, all := range map[string][]login{
		"commonName": {
			{"a certificate", named(ours, "alice", own, nil), "", true, true},
			{"the same, by its name", named(ours, "alice", own, nil), alice, true, true},
			{"the same, as another", named(ours, "alice", own, nil), bob, true, false},
			{"one of nobody here", named(ours, "zoe", pkix.Name{CommonName: "zoe@" + suite.Domain}, nil), "", true, false},
			{"one without the field", named(ours, "nameless", pkix.Name{Organization: []string{"postcote"}}, byMail(alice)), alice, false, false},
			{"one that is over", named(ours, "old", own, old), alice, false, false},
			{"one of another authority", named(foreign, "alice", own, nil), alice, false, false},
			{"none", nil, alice, false, false},
		},
		"emailAddress": {
			{"a certificate", named(ours, "mail", pkix.Name{CommonName: bob}, byMail(alice)), "", true, true},
			{"one without the field", named(ours, "nomail", own, nil), alice, false, false},
			{"one with two", named(ours, "two", own, byMail(alice, bob)), alice, false, false},
			{"one of another authority", named(foreign, "mail", own, byMail(alice)), alice, false, false},
		},
	} {
		t.Run(field, func(t *testing.T) {
			s := certificateSuite(t, ours.file, field)
			for name, p := range speakers {
				for _, l := range all {
					offered, answer := p.external(t, s, l.cert, l.as)
					if taken := strings.HasPrefix(answer, p.taken); offered != l.offered || taken != l.taken {
						t.Errorf("%s, %s: offered %v, answered %q", name, l.what, offered, answer)
					}
					if l.offered && !l.taken && !strings.HasPrefix(answer, p.refused) {
						t.Errorf("%s, %s: answered %q, want %s", name, l.what, answer, p.refused)
					}
				}
			}
			if field == "commonName" {
				certificateClients(t, s, filepath.Join(filepath.Dir(ours.file), "alice"), alice)
			}
		})
	}
}

// certificateClients are programs that log in by EXTERNAL.
func certificateClients(t *testing.T, s *suite.Suite, pair, user string) {
	need(t, "curl", "msmtp", "mpop")
	ca := s.Path("etc/tls/cert.pem")
	curl := []string{"-sS", "--cacert", ca, "--cert", pair + ".pem", "--key", pair + ".key", "--login-options", "AUTH=EXTERNAL", "-u", user + ":"}
	run(t, letter(user, user, "by-certificate-curl"), "curl", append(curl, "--mail-from", user, "--mail-rcpt", user, "-T", "-", "smtps://"+s.Addr(465))...)
	arrived(t, s, "alice", "by-certificate-curl")
	eventually(t, "the message is in INBOX", func() bool {
		out, err := try("", "curl", append(curl, "imaps://"+s.Addr(993)+"/INBOX;MAILINDEX=1")...)
		return err == nil && strings.Contains(out, "by-certificate-curl")
	})
	if out := run(t, "", "curl", append(curl, "pop3s://"+s.Addr(995)+"/1")...); !strings.Contains(out, "by-certificate-curl") {
		t.Errorf("POP3:\n%s", out)
	}
	account := fmt.Sprintf("account default\nhost 127.0.0.1\ntls on\ntls_starttls off\ntls_trust_file %s\ntls_cert_file %s.pem\ntls_key_file %s.key\n"+
		"auth external\nuser %s\n", ca, pair, pair, user)
	dir := t.TempDir()
	run(t, letter(user, user, "by-certificate-msmtp"), "msmtp", "-C",
		write(t, dir+"/msmtprc", fmt.Sprintf("%sport %d\nfrom %s\n", account, s.Base+465, user), 0o600), user)
	arrived(t, s, "alice", "by-certificate-msmtp")
	run(t, "", "mpop", "-C", write(t, dir+"/mpoprc", fmt.Sprintf("%sport %d\ndelivery mbox %s/mbox\nkeep on\nuidls_file %s/uidls\n", account, s.Base+995, dir, dir), 0o600))
	if got := read(t, dir+"/mbox"); !strings.Contains(got, "by-certificate-msmtp") {
		t.Errorf("mpop:\n%s", got)
	}
}
