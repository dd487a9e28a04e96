//go:build interop

package interop

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// allMechanisms is what a suite offers whose passwords are stored readable.
const allMechanisms = "PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5, APOP, SCRAM-SHA-1, SCRAM-SHA-1-PLUS, SCRAM-SHA-256, SCRAM-SHA-256-PLUS, " +
	"EXTERNAL, OAUTHBEARER, XOAUTH2"

// beyondASCII is grete's password. In DIGEST-MD5 Cyrus SASL hashes such a one in
// ISO 8859-1, curl in UTF-8.
const beyondASCII = "größe"

// everyMechanism is a suite as shipped, but for authd's databases: a
// passwd-file of readable passwords, and an issuer of tokens. The token that it
// returns is alice's.
func everyMechanism(t *testing.T) (s *suite.Suite, token string) {
	t.Helper()
	i := startIssuer(t)
	dir := tempDir(t, "users")
	users := write(t, dir+"/users", "alice@demo.test:{PLAIN}s3cret::::::\nbob@demo.test:{PLAIN}other::::::\ngrete@demo.test:{PLAIN}"+beyondASCII+"::::::\n", 0o644)
	s = start(t, map[string]func(string) string{"authd": databases(fmt.Sprintf(`passdb:
  - {driver: passwd-file, passwd_file: {path: "%s"}}
  - driver: oauth2
    mechanisms: [OAUTHBEARER, XOAUTH2]
    oauth2: {introspection_mode: local, openid_configuration_url: "%s/.well-known/openid-configuration", audiences: [mail], scope: mail, ca_file: "%s"}
userdb:
  - {driver: passwd-file, passwd_file: {path: "%s"}}
passwords: {allow_schemes: [PLAIN]}
login: {mechanisms: [%s], failure_delay: 0s, penalty: false}
log: {level: debug}
`, users, i.URL, i.ca, users, allMechanisms))})
	s.Accounts[0].Password, s.Accounts[1].Password = "s3cret", "other"
	return s, i.token(t, s.Accounts[0].Name, nil)
}

// databases puts sections of ours in the place of the shipped passdb and userdb.
func databases(sections string) func(string) string {
	return func(c string) string {
		before, rest, _ := strings.Cut(c, "passdb:\n")
		_, users, _ := strings.Cut(rest, "\nusers:\n")
		return before + sections + "users:\n" + users
	}
}

// logins counts the logins that authd's log at level debug tells of, by
// mechanism.
func logins(t *testing.T, s *suite.Suite) map[string]int {
	t.Helper()
	n := map[string]int{}
	for line := range strings.Lines(read(t, s.Procs["authd"].LogFile())) {
		var event struct{ Event, Mech string }
		if json.Unmarshal([]byte(line), &event) == nil && event.Event == "authenticated" {
			n[event.Mech]++
		}
	}
	return n
}

// mailClients runs programs that log in, and demands that they do so in one way.
type mailClients struct {
	*testing.T
	s     *suite.Suite
	ca    string
	token string
}

// used demands that a client got in by mech and nothing else.
func (m mailClients) used(name, mech string, client func(t *testing.T)) {
	m.Run(name+" "+mech, func(t *testing.T) {
		before := logins(t, m.s)
		client(t)
		var got []string
		for by, n := range logins(t, m.s) {
			if n > before[by] {
				got = append(got, by)
			}
		}
		if strings.Join(got, " ") != mech {
			t.Errorf("logged in by %q", got)
		}
	})
}

func (m mailClients) port(n int) string { return strconv.Itoa(m.s.Base + n) }

// curl has mechanisms of its own making.
func (m mailClients) curl(user suite.Account, mech string, args ...string) func(*testing.T) {
	return func(t *testing.T) {
		all := append([]string{"-sS", "--cacert", m.ca, "--ssl-reqd", "--login-options", "AUTH=" + mech, "-u", user.Name + ":" + user.Password}, args...)
		if mech == "OAUTHBEARER" { // which curl takes for XOAUTH2 too where both are offered
			all = append(all, "-u", user.Name, "--oauth2-bearer", m.token)
		}
		run(t, letter(user.Name, user.Name, "by-curl"), "curl", all...)
	}
}

// msmtp has GNU SASL's, and token mechanisms of its own.
func (m mailClients) msmtp(user suite.Account, mech string) func(*testing.T) {
	secret := user.Password
	if strings.Contains(mech, "OAUTH") {
		secret = m.token
	}
	return func(t *testing.T) {
		rc := write(t, filepath.Join(t.TempDir(), "msmtprc"), fmt.Sprintf("account default\nhost localhost\nport %s\ntls on\ntls_starttls on\n"+
			"tls_trust_file %s\nauth %s\nuser %s\npasswordeval \"cat %s\"\nfrom %s\n", m.port(587), m.ca, strings.ToLower(mech), user.Name,
			write(t, filepath.Join(t.TempDir(), "secret"), secret, 0o600), user.Name), 0o600)
		run(t, letter(user.Name, user.Name, "by-msmtp"), "msmtp", "-C", rc, user.Name)
	}
}

// mpop has the same by POP3.
func (m mailClients) mpop(user suite.Account, mech string) func(*testing.T) {
	secret := user.Password
	if strings.Contains(mech, "OAUTH") {
		secret = m.token
	}
	return func(t *testing.T) {
		dir := t.TempDir()
		rc := write(t, filepath.Join(dir, "mpoprc"), fmt.Sprintf("account default\nhost localhost\nport %s\ntls on\ntls_starttls off\n"+
			"tls_trust_file %s\nauth %s\nuser %s\npasswordeval \"cat %s\"\ndelivery mbox %s/mbox\nkeep on\nuidls_file %s/uidls\n",
			m.port(995), m.ca, strings.ToLower(mech), user.Name, write(t, dir+"/secret", secret, 0o600), dir, dir), 0o600)
		run(t, "", "mpop", "-C", rc)
	}
}

// mbsync has Cyrus SASL's.
func (m mailClients) mbsync(user suite.Account, mech string) func(*testing.T) {
	return func(t *testing.T) {
		rc := write(t, filepath.Join(t.TempDir(), "mbsyncrc"), fmt.Sprintf("IMAPStore far\nHost localhost\nPort %s\nUser %s\nPass %s\nSSLType IMAPS\n"+
			"CertificateFile %s\nAuthMechs %s\n\nMaildirStore near\nPath %s/\n\nChannel all\nFar :far:\nNear :near:\nPatterns *\n",
			m.port(993), user.Name, user.Password, m.ca, mech, t.TempDir()), 0o600)
		if out := run(t, "", "mbsync", "-c", rc, "-l", "all"); !strings.Contains(out, "INBOX") {
			t.Errorf("folders:\n%s", out)
		}
	}
}

// gsasl is GNU SASL's own client, which binds to the channel.
func (m mailClients) gsasl(user suite.Account, mech, protocol string) func(*testing.T) {
	return func(t *testing.T) {
		port := map[string]int{"--smtp": 587, "--imap": 143}[protocol]
		args := []string{protocol, "--starttls", "--x509-ca-file", m.ca, "--connect", "localhost:" + m.port(port), "-m", mech, "-a", user.Name, "-p"}
		run(t, "", "gsasl", append(args, user.Password)...)
		if out, err := try("", "gsasl", append(args, "wrong")...); err == nil {
			t.Errorf("a wrong password was taken:\n%s", out)
		}
	}
}

// Mail clients and their SASL libraries (curl's own, GNU SASL in msmtp, mpop,
// gsasl and mutt, Cyrus SASL in mbsync, fetchmail's and swaks's own) log in at
// our servers, which ask authd.
func TestMailClientsAuthenticate(t *testing.T) {
	need(t, "curl", "msmtp", "mpop", "swaks", "mbsync", "mutt", "fetchmail", "gsasl")
	s, token := everyMechanism(t)
	m := mailClients{t, s, s.Path("etc/tls/cert.pem"), token}
	alice, grete := s.Accounts[0], suite.Account{Name: "grete@" + suite.Domain, Password: beyondASCII}
	fill(t, s, 5)
	inbox := "imap://localhost:" + m.port(143) + "/INBOX"
	for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "OAUTHBEARER"} {
		m.used("curl SMTP", mech, m.curl(alice, mech, "--mail-from", alice.Name, "--mail-rcpt", s.Accounts[1].Name, "-T", "-", "smtp://localhost:"+m.port(587)))
		m.used("curl IMAP", mech, m.curl(alice, mech, inbox, "-X", "NOOP"))
		m.used("curl POP3", mech, m.curl(alice, mech, "pop3://localhost:"+m.port(110)))
	}
	m.used("curl POP3", "APOP", m.curl(alice, "+APOP", "pop3://localhost:"+m.port(110)))
	for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "XOAUTH2", "OAUTHBEARER"} {
		m.used("msmtp", mech, m.msmtp(alice, mech))
		m.used("mpop", mech, m.mpop(alice, mech))
	}
	m.used("mpop", "APOP", m.mpop(alice, "APOP"))
	m.used("swaks", "CRAM-MD5", func(t *testing.T) {
		run(t, "", "swaks", "--server", s.Addr(587), "--tls", "--auth", "CRAM-MD5", "--auth-user", alice.Name, "--auth-password", alice.Password,
			"--from", alice.Name, "--to", alice.Name)
	})
	for _, mech := range []string{"PLAIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"} {
		m.used("mbsync", mech, m.mbsync(alice, mech))
		m.used("mutt", mech, func(t *testing.T) { mutt(t, s, "set imap_authenticators=\""+strings.ToLower(mech)+"\"") })
	}
	m.used("fetchmail", "APOP", func(t *testing.T) { fetchmail(t, s, "apop", 995) })
	m.used("fetchmail", "CRAM-MD5", func(t *testing.T) { fetchmail(t, s, "imap", 993, "auth cram-md5") })
	for _, mech := range []string{"SCRAM-SHA-1-PLUS", "SCRAM-SHA-256-PLUS"} {
		m.used("gsasl SMTP", mech, m.gsasl(alice, mech, "--smtp"))
		m.used("gsasl IMAP", mech, m.gsasl(alice, mech, "--imap"))
	}
	for _, mech := range []string{"DIGEST-MD5", "SCRAM-SHA-256"} {
		m.used("mbsync größe", mech, m.mbsync(grete, mech))
		m.used("mpop größe", mech, m.mpop(grete, mech))
	}
	m.used("curl größe", "DIGEST-MD5", m.curl(grete, "DIGEST-MD5", inbox, "-X", "NOOP"))
}
