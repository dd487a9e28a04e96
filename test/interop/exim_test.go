//go:build interop

package interop

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func base64Of(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// needExim returns an Exim binary: an installed one, or one unpacked from
// Debian's package, which cannot be installed beside Postfix.
func needExim(t *testing.T) string {
	t.Helper()
	for _, p := range []string{os.Getenv("EXIM"), "/usr/sbin/exim4", "/var/lib/postcote-ci/exim/usr/sbin/exim4"} {
		if p != "" {
			if _, err := os.Stat(p); err == nil {
				return p
			}
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("Exim is not there: .ci/run unpacks it to /var/lib/postcote-ci/exim")
	}
	t.Skip("Exim is not installed (set EXIM to its binary)")
	return ""
}

// Exim's dovecot authenticator against authd: success, refusal, and an outage
// that is a temporary answer.
func TestEximUsesAuthd(t *testing.T) {
	need(t, "swaks")
	exim := needExim(t)
	if os.Getuid() != 0 {
		t.Skip("a private Exim needs root to start")
	}
	dir := tempDir(t, "exim")
	write(t, dir+"/users", "alice@demo.test:{PLAIN}secret::::::\n", 0o644)
	sock := dir + "/auth-client"
	a := startAuthd(t, dir, fmt.Sprintf(`listeners:
  - {type: client, listen: {address: "unix:%s", mode: "0666"}}
passdb: [{driver: passwd-file}]
userdb: [{driver: passwd-file}]
users: {file: "%s/users"}
passwords: {allow_schemes: [PLAIN]}
login: {failure_delay: 100ms}
`, sock, dir), sock)
	port := startExim(t, exim, dir, sock)
	try4 := func(mech, password string) (string, error) {
		return try("", "swaks", "--server", fmt.Sprintf("127.0.0.1:%d", port), "--auth", mech, "--auth-user", "alice@demo.test",
			"--auth-password", password, "--from", "alice@demo.test", "--to", "x@y.test", "--quit-after", "RCPT")
	}
	for _, mech := range []string{"PLAIN", "LOGIN"} {
		if out, err := try4(mech, "secret"); err != nil {
			t.Errorf("%s: %v\n%s", mech, err, out)
		}
		if out, err := try4(mech, "wrong"); err == nil || !strings.Contains(out, "535") {
			t.Errorf("%s with a wrong password: %v\n%s", mech, err, out)
		}
	}
	// A users file that cannot be read is an outage: 435 or 454, never 535.
	if err := os.Remove(dir + "/users"); err != nil {
		t.Fatal(err)
	}
	out, err := try4("PLAIN", "secret")
	if err == nil || strings.Contains(out, "535") || !(strings.Contains(out, "435") || strings.Contains(out, "454")) {
		t.Errorf("during an outage: %v\n%s", err, out)
	}
	a.stop()
	out, err = try4("PLAIN", "secret")
	if err == nil || strings.Contains(out, "535") {
		t.Errorf("without authd: %v\n%s", err, out)
	}
}

// startExim runs a private Exim that takes logins alone, and returns its port.
func startExim(t *testing.T, exim, dir, sock string) int {
	t.Helper()
	return runExim(t, exim, dir, fmt.Sprintf(`tls_advertise_hosts =
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  accept authenticated = *
  deny
begin routers
drop:
  driver = redirect
  data = :blackhole:
begin transports
begin authenticators
plain:
  driver = dovecot
  public_name = PLAIN
  server_socket = %[1]s
  server_set_id = $auth1
login:
  driver = dovecot
  public_name = LOGIN
  server_socket = %[1]s
  server_set_id = $auth1
`, sock))
}

// runExim runs an Exim in the foreground, with a spool and logs of its own
// below dir and the rest of its configuration from conf; it returns its port.
func runExim(t *testing.T, exim, dir, conf string) int {
	t.Helper()
	port := freePort(t)
	spool := filepath.Join(dir, "spool")
	if err := os.Mkdir(spool, 0o777); err != nil {
		t.Fatal(err)
	}
	conf = write(t, dir+"/exim.conf", fmt.Sprintf(`primary_hostname = exim.test
exim_user = nobody
exim_group = nogroup
never_users =
exim_path = %[5]s
keep_environment =
spool_directory = %[1]s
log_file_path = %[2]s/exim-%%s.log
log_selector = +all
pid_file_path = %[2]s/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = %[3]d
host_lookup =
rfc1413_hosts =
%[4]s`, spool, dir, port, conf, exim), 0o644)
	run(t, "", "chown", "-R", "nobody:nogroup", spool)
	run(t, "", "chmod", "777", dir)
	cmd := exec.Command(exim, "-C", conf, "-bdf")
	log, err := os.Create(dir + "/exim.out")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			for _, f := range []string{"exim.out", "exim-main.log", "exim-panic.log"} {
				text, _ := os.ReadFile(filepath.Join(dir, f))
				t.Logf("%s:\n%s", f, text)
			}
		}
	})
	waitPort(t, port)
	return port
}
