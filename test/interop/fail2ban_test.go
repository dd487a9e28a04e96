//go:build interop

package interop

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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
	c := authclient.New(authclient.Config{Address: sock, Patience: patience})
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

// journalScript runs a journal of its own in a place that no other process
// sees, an authd that writes to it, and, once a line comes in, fail2ban's
// filter over what was written.
const journalScript = `set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /run/log/journal
[ ! -d /var/log/journal ] || mount -t tmpfs tmpfs /var/log/journal
mount --bind "$DIR/journald.conf" /etc/systemd/journald.conf
/lib/systemd/systemd-journald &
journal=$!
for i in $(seq 1200); do [ -S /run/systemd/journal/socket ] && break; sleep 0.05; done
"$AUTHD" serve -c "$DIR/authd.yaml" &
authd=$!
trap 'kill $authd $journal 2>/dev/null || true' EXIT
read -r line
kill $authd
wait $authd || true
journalctl --sync
fail2ban-regex -o ip -m SYSLOG_IDENTIFIER=dovecot systemd-journal dovecot
`

// With style journald the same filter finds them in the journal.
func TestFail2banReadsJournal(t *testing.T) {
	need(t, "fail2ban-regex", "journalctl", "unshare", "mount")
	_, systemd := os.Stat("/etc/systemd/journald.conf")
	if _, err := try("", "/usr/bin/python3", "-c", "import systemd.journal"); err != nil || systemd != nil || os.Getuid() != 0 {
		if os.Getenv("CI") != "" && os.Getuid() == 0 {
			t.Fatalf("systemd or python3-systemd is not installed: %v %v", err, systemd)
		}
		t.Skip("needs root, systemd and python3-systemd")
	}
	dir := tempDir(t, "journal")
	write(t, dir+"/journald.conf", "[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nForwardToSyslog=no\n", 0o644)
	write(t, dir+"/users", "alice@demo.test:{PLAIN}secret::::::\n", 0o600)
	write(t, dir+"/authd.yaml", fmt.Sprintf(`listeners:
  - {type: client-2.4, listen: {address: "unix:%[1]s/auth", mode: "0600"}}
passdb: [{driver: passwd-file}]
userdb: [{driver: passwd-file}]
users: {file: %[1]s/users}
passwords: {allow_schemes: [PLAIN]}
login: {failure_delay: 0s, penalty: false}
log: {style: journald}
control: {listen: {address: "unix:%[1]s/control", mode: "0600"}}
`, dir), 0o644)
	bin, err := filepath.Abs("../../bin/authd")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "sh", "-c", journalScript)
	cmd.Env = append(os.Environ(), "DIR="+dir, "AUTHD="+bin, "POSTCOTE_ALLOW_ROOT=1", "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, log := &strings.Builder{}, &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	eventually(t, "authd listens", func() bool {
		_, err := os.Stat(dir + "/auth")
		return err == nil
	})
	c := authclient.New(authclient.Config{Address: dir + "/auth", Patience: patience})
	defer c.Close()
	for ip, password := range map[string]string{"192.0.2.1": "secret", "192.0.2.2": "wrong", "2001:db8::3": "wrong"} {
		_, _, err := c.Start(t.Context(), authclient.Request{
			Mech: "PLAIN", Service: "smtp", Session: "s", RemoteAddr: netip.AddrPortFrom(netip.MustParseAddr(ip), 4000),
			Initial: []byte("\x00alice@demo.test\x00" + password),
		})
		if (err == nil) != (password == "secret") {
			t.Errorf("%s: %v", ip, err)
		}
	}
	fmt.Fprintln(in, "go on")
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s%s", err, out, log)
	}
	got := strings.Fields(out.String())
	slices.Sort(got)
	if !slices.Equal(got, []string{"192.0.2.2", "2001:db8::3"}) {
		t.Errorf("fail2ban found %v\n%s", got, log)
	}
}
