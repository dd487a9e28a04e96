//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// The whole way: mail comes in, is read and sent by users of a directory.
func TestLDAPSuite(t *testing.T) {
	need(t, "curl")
	dir := startSlapd(t)
	password := write(t, filepath.Join(t.TempDir(), "password"), "service-secret\n", 0o644)
	section := fmt.Sprintf(`{database: corp, base: "ou=people,%s", auth_bind: true, pass_filter: "(mail=%%u)", pass_attrs: "mail=user",
      user_filter: "(mail=%%u)", user_attrs: "mail=user", iterate_filter: "(employeeType=*)", iterate_attrs: "mail=user", domain_filter: "(mail=*@%%d)"}`, ldapBase)
	s := start(t, map[string]func(string) string{
		"authd": func(text string) string {
			before, rest, _ := strings.Cut(text, "passdb:")
			_, after, _ := strings.Cut(rest, "\nusers:")
			return before + "users:" + after + fmt.Sprintf(`
login: {failure_delay: 0s, penalty: false}
cache: {ttl: 0s}
databases:
  corp:
    driver: ldap
    ldap: {uris: [%q], starttls: true, ca_file: %q, bind_dn: %q, bind_password_file: %q, search_timeout: 5s, bind_timeout: 5s, max_backoff: 500ms}
passdb:
  - {driver: ldap, ldap: %s}
userdb:
  - {driver: ldap, ldap: %s}
`, dir.uri(), dir.ca, ldapService, password, section, section)
		},
		"mtad": func(text string) string {
			return strings.ReplaceAll(text, "mailbox: ["+suite.Domain+"]", "mailbox: []")
		},
	})
	tls := []string{"-sS", "--max-time", "50", "--cacert", s.Path("etc/tls/cert.pem"), "-u"}
	imap := "imaps://" + s.Addr(993) + "/INBOX"
	login := func(user, password string) (string, error) {
		return try("", "curl", append(tls, user+":"+password, imap, "-v", "-X", "NOOP")...)
	}
	if out, err := login("alice@example.org", "alice-secret"); err != nil {
		t.Error(out)
	}
	for _, l := range [][2]string{{"alice@example.org", "wrong"}, {"nobody@example.org", "alice-secret"}, {"*@example.org", "alice-secret"}, {"alice@example.org", ""}} {
		if out, err := login(l[0], l[1]); err == nil || !strings.Contains(out, "AUTHENTICATIONFAILED") && l[1] != "" {
			t.Errorf("%v: %s", l, out)
		}
	}
	file := write(t, filepath.Join(t.TempDir(), "letter"), letter("bob@example.org", "alice@example.org", "by-directory"), 0o644)
	send := func(to string) (string, error) {
		return try("", "curl", append(tls, "bob@example.org:bob-secret", "-v", "smtps://"+s.Addr(465), "--mail-from", "bob@example.org", "--mail-rcpt", to, "-T", file)...)
	}
	if out, err := send("alice@example.org"); err != nil {
		t.Error(out)
	}
	if out, err := send("nobody@example.org"); err == nil || !strings.Contains(out, "550 5.1.1") {
		t.Error(out)
	}
	eventually(t, "the letter is in the mailbox", func() bool {
		out, err := try("", "curl", append(tls, "alice@example.org:alice-secret", imap, "-X", "SEARCH SUBJECT by-directory")...)
		return err == nil && strings.Contains(out, "* SEARCH 1")
	})
	// While the directory hangs, nobody is told that there is no such user.
	dir.pause(t)
	if out, err := login("alice@example.org", "alice-secret"); err == nil || !strings.Contains(out, "[UNAVAILABLE]") {
		t.Error(out)
	}
	if out, err := send("nobody@example.org"); err == nil || !strings.Contains(out, "454 4.") {
		t.Error(out)
	}
	dir.resume(t)
	eventually(t, "logins work again", func() bool {
		_, err := login("alice@example.org", "alice-secret")
		return err == nil
	})
}
