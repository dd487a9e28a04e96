//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/proto/dovecotauth/authclient"
)

// fail2ban's own filter for Dovecot finds those who guess, whatever database
// refuses them, and nobody else.
func TestFail2banReadsAuthd(t *testing.T) {
	need(t, "fail2ban-regex", "sqlite3")
	dir := tempDir(t, "fail2ban")
	write(t, dir+"/users", "alice@demo.test:{PLAIN}secret::::::\nlocked@demo.test:!::::::\nmoved@demo.test:{PLAIN}secret::::::nologin\n", 0o600)
	run(t, "CREATE TABLE users (name TEXT, password TEXT); INSERT INTO users VALUES ('bob@demo.test', '{PLAIN}secret');", "sqlite3", dir+"/mail.sqlite")
	sock := dir + "/auth"
	a := startAuthd(t, dir, fmt.Sprintf(`listeners:
  - {type: client-2.4, listen: {address: "unix:%[1]s/auth", mode: "0600"}}
databases:
  mail: {driver: sqlite, path: %[1]s/mail.sqlite}
passdb:
  - {driver: passwd-file, username_filter: "!bob@* !eve@*", passwd_file: {path: %[1]s/users}}
  - {driver: sql, username_filter: "bob@*", sql: {database: mail, password_query: "SELECT password FROM users WHERE name = '%%u'"}}
  - {driver: local, username_filter: "eve@*", local: {file: %[1]s/users.sqlite}}
userdb: [{driver: prefetch}]
passwords: {allow_schemes: [PLAIN]}
login: {failure_delay: 0s, penalty: false, mechanisms: [PLAIN, CRAM-MD5], username_chars: "abcdefghijklmnopqrstuvwxyz@."}
log: {style: classic}
`, dir), sock)
	run(t, "", "../../bin/authd", "user", "add", "-c", a.conf, "--store", dir+"/users.sqlite", "--locked", "carol@demo.test")
	c := authclient.New(authclient.Config{Address: sock})
	defer c.Close()
	var want []string
	for i, login := range []struct {
		name, password string
		guess          bool
	}{
		{"alice@demo.test", "secret", false},
		{"moved@demo.test", "secret", false},
		{"bob@demo.test", "secret", false},
		{"alice@demo.test", "wrong", true},
		{"zoe@demo.test", "wrong", true},
		{"locked@demo.test", "wrong", true},
		{"bob@demo.test", "wrong", true},
		{"eve@demo.test", "wrong", true},
		{"o'brien@demo.test", "wrong", true},
		{"a b(c)@demo.test", "wrong", true},
		{"zoe,198.51.100.1,<x>): unknown user", "wrong", true},
	} {
		ip := fmt.Sprintf("192.0.2.%d", i+1)
		_, _, err := c.Start(t.Context(), authclient.Request{
			Mech: "PLAIN", Service: "imap", Session: "s+/1", RemoteAddr: netip.AddrPortFrom(netip.MustParseAddr(ip), 4000),
			Initial: []byte("\x00" + login.name + "\x00" + login.password),
		})
		if (err == nil) == login.guess {
			t.Fatalf("%s: %v", login.name, err)
		}
		if login.guess {
			want = append(want, ip)
		}
	}
	a.stop()
	log, err := os.ReadFile(a.log())
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Fields(run(t, "", "fail2ban-regex", "-o", "ip", a.log(), "dovecot"))
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("fail2ban found %v, want %v in\n%s", got, want, log)
	}
}
