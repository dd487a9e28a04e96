//go:build interop

package interop

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// sqlAuthd is an authd.yaml whose users are in SQL.
const sqlAuthd = `listeners:
  - {type: client, listen: {address: "unix:%[1]s/client", mode: "0666"}}
  - {type: userdb, listen: {address: "unix:%[1]s/userdb", mode: "0600"}}
  - {type: socketmap, listen: {address: "unix:%[1]s/map", mode: "0666"}}
databases:
  mail:
    driver: %[2]s
    hosts: [%[3]s]
    dbname: mail
    user: authd
    password_file: %[4]s
    connect_timeout: 5s
    query_timeout: 5s
    retry_after: 1s
passdb:
  - driver: sql
    sql:
      database: mail
      password_query: SELECT username AS user, password FROM mailbox WHERE username = '%%u' AND active = '1'
userdb:
  - driver: sql
    sql:
      database: mail
      user_query: SELECT '/var/vmail/%%d/%%n' AS home, 5000 AS uid, 5000 AS gid FROM mailbox WHERE username = '%%u' AND active = '1'
      iterate_query: SELECT username FROM mailbox WHERE active = '1'
      domain_query: SELECT active FROM domain WHERE domain = '%%d'
users: {fields: {}, home: ""}
passwords: {allow_schemes: [PLAIN]}
login: {failure_delay: 100ms}
cache: {size: 0B}
`

// authd with its users in a database lets the right ones in by its client
// socket, knows where their mail is, and tells clients to try later while the
// server is away.
func TestAuthdWithSQL(t *testing.T) {
	need(t, "doveadm", "postmap")
	eachSQL(t, func(t *testing.T, driver string) {
		s := startSQL(t, driver)
		s.fill()
		dir := tempDir(t, "authdsql")
		client, users := dir+"/client", dir+"/userdb"
		cfg := s.config()
		startAuthd(t, dir, fmt.Sprintf(sqlAuthd, dir, driver, cfg.Hosts[0], string(cfg.PasswordFile)), client, users)
		conf := write(t, dir+"/dovecot.conf", "ssl = no\nbase_dir = "+dir+"/run\n", 0o644)
		login := func(user, password string) string {
			out, _ := try("", "doveadm", "-c", conf, "auth", "test", "-a", client, "-x", "service=imap", user, password)
			switch {
			case strings.Contains(out, "auth succeeded"):
				return "in"
			case strings.Contains(out, "temp"):
				return "later"
			case strings.Contains(out, "auth failed"):
				return "out"
			}
			return out
		}
		for _, tc := range []struct{ user, password, want string }{
			{"alice@example.org", "alice's", "in"},
			{"Alice@Example.org", "alice's", "in"},
			{"jörg@example.org", "ü", "in"},
			{"o'hara@example.org", "x", "in"},
			{"alice@example.org", "wrong", "out"},
			{"gone@example.org", "x", "out"},
			{"nobody@example.org", "x", "out"},
			{"' OR '1'='1", "x", "out"},
			{"alice@example.org' -- ", "alice's", "out"},
		} {
			if got := login(tc.user, tc.password); got != tc.want {
				t.Errorf("%s with %s: %s, want %s", tc.user, tc.password, got, tc.want)
			}
		}
		if out := run(t, "", "doveadm", "-c", conf, "user", "-a", users, "alice@example.org"); !strings.Contains(out, "home\t/var/vmail/example.org/alice\n") {
			t.Errorf("doveadm user:\n%s", out)
		}
		if out := run(t, "", "doveadm", "-c", conf, "user", "-a", users, "*"); !strings.Contains(out, "bob@example.org\n") {
			t.Errorf("doveadm user '*':\n%s", out)
		}
		write(t, dir+"/postfix/main.cf", "compatibility_level = 3.6\n", 0o644)
		domain := func(name string) string {
			out, _ := try("", "postmap", "-c", dir+"/postfix", "-q", name, "socketmap:unix:"+dir+"/map:domains")
			return strings.TrimSpace(out)
		}
		if got := domain("example.org") + domain("old.example") + domain("x' OR '1'='1"); got != "mailbox" {
			t.Errorf("domains: %s", got)
		}

		s.stop(syscall.SIGKILL)
		for _, user := range []string{"alice@example.org", "nobody@example.org"} {
			if got := login(user, "alice's"); got != "later" {
				t.Errorf("%s without a server: %s", user, got)
			}
		}
		s.start()
		eventually(t, "logins after the server came back", func() bool { return login("alice@example.org", "alice's") == "in" })
		s.freeze()
		if got := login("alice@example.org", "alice's"); got != "later" {
			t.Errorf("with a server that hangs: %s", got)
		}
		s.thaw()
		eventually(t, "logins after the server hung", func() bool { return login("alice@example.org", "alice's") == "in" })
	})
}
