//go:build interop

package interop

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// hostedAuthd gives authd the mailboxes of hostingSchema.
const hostedAuthd = `databases:
  mail: {driver: %[1]s, hosts: ["127.0.0.1:%[2]d"], dbname: mail, user: authd, password_file: "%[3]s", connect_timeout: 20s, query_timeout: 20s, retry_after: 1s}
passdb:
  - {driver: sql, sql: {database: mail, password_query: "SELECT username AS user, '{PLAIN}secret' AS password FROM mailbox WHERE username = '%%u' AND active = 1"}}
userdb:
  - {driver: sql, sql: {database: mail, user_query: "SELECT username AS user FROM mailbox WHERE username = '%%u' AND active = 1"}}
`

// The usual mail server of many domains: Postfix's own files for its tables in
// MariaDB or PostgreSQL, one database for mtad and authd, and mail from port 25
// and from users to the mailboxes of the same database.
func TestHostingWithPostfixsFiles(t *testing.T) {
	need(t, "swaks")
	eachSQL(t, func(t *testing.T, driver string) {
		db := startSQL(t, driver)
		db.exec(hostingSchema + "INSERT INTO mailbox VALUES ('ann@example.org', 'example.org/ann/', 1), ('carol@example.org', 'example.org/carol/', 1);\n" +
			"INSERT INTO alias VALUES ('both@example.org', 'joe@example.org,ann@example.org', 1), ('joe@example.org', 'joe@example.org', 1), ('ring@example.org', 'ring2@example.org', 1), ('ring2@example.org', 'ring@example.org', 1);\n" +
			"INSERT INTO alias VALUES ('@catch.example', 'ann@example.org', 1);\nINSERT INTO domain VALUES ('catch.example', 0, 1), ('example.com', 0, 1);\n" +
			"UPDATE alias SET goto = 'joe@example.org,ann@example.org' WHERE address = 'info@example.org';")
		dir := tempDir(t, "hosting")
		head := fmt.Sprintf("user = %s\npassword = %s\ndbname = %s\nhosts = 127.0.0.1:%d\n", sqlUser, sqlPassword, sqlName, db.port)
		for name, text := range hostingFiles {
			write(t, dir+"/"+name, head+text+"\n", 0o644)
		}
		table := func(name string) string { return "proxy:" + driver + ":" + dir + "/" + name }
		l := logsIn{t, start(t, map[string]func(string) string{
			"authd": databases(fmt.Sprintf(hostedAuthd, driver, db.port, db.path("password")) + "passwords: {allow_schemes: [PLAIN]}\nlogin: {failure_delay: 0s, penalty: false}\n"),
			"mtad": func(c string) string {
				c = strings.Replace(c, "mailbox: [demo.test]", "mailbox: []", 1)
				c = setting(c, "  tables:", fmt.Sprintf("[%q]", table("domains")))
				c = setting(c, "exists_socket:", `""`)
				return c + fmt.Sprintf("\nlookup_cache: 0s\nvirtual_mailbox_maps: [%q]\nrewrite:\n  virtual_alias_maps: [%q, %q]\n", table("mailboxes"), table("aliases"), table("by_domain"))
			},
		})}
		box := func(address, mark string) {
			t.Helper()
			local, domain, _ := strings.Cut(address, "@")
			eventually(t, address+" has "+mark, func() bool {
				return strings.Contains(strings.Join(messages(l.s.Path("mail", domain, local, "Maildir")), ""), mark)
			})
		}
		for i, tc := range []struct{ to, in string }{
			{"joe@example.org", "joe"},
			{"Joe@Example.ORG", "joe"},
			{"joe+detail@example.org", "joe"},
			{"o'hara@example.org", "o'hara"},
			{"both@example.org", "joe ann"},
			{"info@example.org", "joe ann"},
			{"info@example.com", "joe ann"}, // by the alias domain
			{"anybody@catch.example", "ann"},
		} {
			mark := fmt.Sprintf("case-%d-to-be-found", i)
			smtpSays(t, l.s.Addr(25), "Subject: "+mark+"\r\n\r\nx\r\n", "MAIL FROM:<far@elsewhere.test>", "RCPT TO:<"+tc.to+">")
			for _, who := range strings.Fields(tc.in) {
				box(who+"@example.org", mark)
			}
		}
		for to, want := range map[string]string{
			"nobody@example.org": rcptUnknown, "gone@example.org": rcptUnknown, "x'/**/OR/**/'a'='a@example.org": rcptUnknown, "nobody@example.com": rcptUnknown,
		} {
			l.puts(to, want)
		}
		l.taken("carol@example.org", "secret")
		l.told("gone@example.org", "secret", smtpRefused, imapRefused)

		// A database that is away is nobody's fault.
		db.stop(syscall.SIGKILL)
		for _, to := range []string{"joe@example.org", "nobody@example.org", "info@example.com", "x@other.example"} {
			l.puts(to, rcptNobodyKnows)
		}
		l.told("joe@example.org", "secret", smtpOutage, imapOutage)
		db.start()
		// authd finds it a moment later than mtad; what comes in between waits in the queue.
		eventually(t, "mail is taken again", func() bool {
			if l.submit("joe@example.org", "secret", "again") != nil {
				return false
			}
			_, err := try("", "swaks", "--server", l.s.Addr(25), "--from", "x@elsewhere.test", "--to", "both@example.org", "--header", "Subject: after-all")
			return err == nil
		})
		box("ann@example.org", "after-all")
		// What the database loses is gone with the next message.
		db.exec("UPDATE mailbox SET active = 0 WHERE username = 'o''hara@example.org';")
		l.puts("o'hara@example.org", rcptUnknown)
	})
}
