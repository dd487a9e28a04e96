//go:build interop

package interop

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// authd is one authd by itself, with its own configuration.
type authd struct {
	t    *testing.T
	dir  string
	conf string
	cmd  *exec.Cmd
}

// startAuthd runs authd with the given configuration in dir, where control,
// and whatever sockets the configuration names, live. The sockets listed are
// waited for.
func startAuthd(t *testing.T, dir, config string, sockets ...string) *authd {
	t.Helper()
	a := &authd{t: t, dir: dir, conf: filepath.Join(dir, "authd.yaml")}
	write(t, a.conf, config+fmt.Sprintf("\ncontrol: {listen: {address: \"unix:%s/authd-control\", mode: \"0600\"}}\n", dir), 0o644)
	t.Cleanup(func() {
		a.stop()
		if t.Failed() {
			log, _ := os.ReadFile(a.log())
			t.Logf("authd log:\n%s", log)
		}
	})
	a.start(sockets...)
	return a
}

func (a *authd) log() string { return filepath.Join(a.dir, "authd.log") }

func (a *authd) start(sockets ...string) {
	a.t.Helper()
	log, err := os.OpenFile(a.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		a.t.Fatal(err)
	}
	defer log.Close()
	a.cmd = exec.Command("../../bin/authd", "serve", "-c", a.conf)
	a.cmd.Env = append(os.Environ(), "POSTCOTE_ALLOW_ROOT=1")
	a.cmd.Stdout, a.cmd.Stderr = log, log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	for _, s := range sockets {
		eventually(a.t, "authd listens at "+s, func() bool {
			c, err := net.DialTimeout("unix", s, time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
}

func (a *authd) stop() {
	if a.cmd == nil {
		return
	}
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	_ = a.cmd.Wait()
	a.cmd = nil
}

// tempDir is a folder that other users may enter; it has a short name, since
// names of sockets are limited.
func tempDir(t *testing.T, prefix string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", prefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// stockDovecot is a Dovecot whose auth service creates no sockets: authd has
// them.
const stockDovecot = `base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-stock
log_path = %[1]s/log
auth_debug = yes
protocols = imap pop3 lmtp sieve
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:~/Maildir
service auth {
  unix_listener login/login {
    mode = 0
  }
  unix_listener auth-client {
    mode = 0
  }
  unix_listener auth-master {
    mode = 0
  }
  unix_listener auth-userdb {
    mode = 0
  }
}
service lmtp {
  unix_listener %[1]s/lmtp {
    mode = 0666
  }
}
service imap-login {
  inet_listener imap {
    port = %[2]d
  }
  inet_listener imaps {
    port = 0
  }
}
service pop3-login {
  inet_listener pop3 {
    port = %[3]d
  }
  inet_listener pop3s {
    port = 0
  }
}
service managesieve-login {
  inet_listener sieve {
    port = %[4]d
  }
}
`

// A stock Dovecot does everything it does with users through authd: IMAP and
// POP3 login, LMTP delivery, ManageSieve, doveadm.
func TestStockDovecotUsesAuthd(t *testing.T) {
	need(t, "dovecot", "doveadm", "curl", "swaks")
	if os.Getuid() != 0 {
		t.Skip("a private Dovecot needs root to start")
	}
	dir := tempDir(t, "stock")
	imap, pop3, sieve := freePort(t), freePort(t), freePort(t)
	conf := write(t, dir+"/dovecot.conf", fmt.Sprintf(stockDovecot, dir, imap, pop3, sieve), 0o644)
	run(t, "", "install", "-d", "-o", "65534", "-g", "65534", dir+"/mail")
	write(t, dir+"/users", "alice@demo.test:{PLAIN}secret:65534:65534::"+dir+"/mail/alice::\n"+
		"bob@demo.test:{PLAIN}other:65534:65534::"+dir+"/mail/bob::userdb_quota_rule=*:bytes=1G\n", 0o644)
	run(t, "", "dovecot", "-c", conf)
	t.Cleanup(func() {
		_, _ = try("", "doveadm", "-c", conf, "stop")
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/log")
			t.Logf("Dovecot log:\n%s", log)
		}
	})
	waitPort(t, imap)
	sock := func(name string) string { return dir + "/run/" + name }
	a := startAuthd(t, dir, fmt.Sprintf(`listeners:
  - {type: login, listen: {address: "unix:%[1]s/run/login/login", mode: "0666"}}
  - {type: client, listen: {address: "unix:%[1]s/run/auth-client", mode: "0666"}}
  - {type: master, listen: {address: "unix:%[1]s/run/auth-master", mode: "0600"}}
  - {type: userdb, listen: {address: "unix:%[1]s/run/auth-userdb", mode: "0600"}}
passdb: [{driver: passwd-file}]
userdb: [{driver: passwd-file}]
users: {file: "%[1]s/users"}
passwords: {allow_schemes: [PLAIN]}
login: {redeem_within: 150s, failure_delay: 100ms}
`, dir), sock("login/login"), sock("auth-client"), sock("auth-master"), sock("auth-userdb"))

	t.Run("LMTP", func(t *testing.T) {
		run(t, "", "swaks", "--protocol", "LMTP", "--socket", dir+"/lmtp", "--from", "x@y.test", "--to", "alice@demo.test", "--header", "Subject: by-lmtp")
		out, err := try("", "swaks", "--protocol", "LMTP", "--socket", dir+"/lmtp", "--from", "x@y.test", "--to", "nobody@demo.test")
		if err == nil || !strings.Contains(out, "550 5.1.1") {
			t.Errorf("unknown user: %v\n%s", err, out)
		}
	})
	t.Run("IMAP", func(t *testing.T) {
		url := fmt.Sprintf("imap://127.0.0.1:%d", imap)
		if out := run(t, "", "curl", "-sS", "-u", "alice@demo.test:secret", url+"/INBOX;MAILINDEX=1"); !strings.Contains(out, "by-lmtp") {
			t.Errorf("read:\n%s", out)
		}
		if _, err := try("", "curl", "-sS", "-u", "alice@demo.test:wrong", url); err == nil {
			t.Error("a wrong password was taken")
		}
	})
	t.Run("POP3", func(t *testing.T) {
		if out := run(t, "", "curl", "-sS", "-u", "alice@demo.test:secret", fmt.Sprintf("pop3://127.0.0.1:%d/1", pop3)); !strings.Contains(out, "by-lmtp") {
			t.Errorf("read:\n%s", out)
		}
	})
	t.Run("ManageSieve", func(t *testing.T) { manageSieve(t, sieve, "alice@demo.test", "secret") })
	t.Run("doveadm", func(t *testing.T) {
		out := run(t, "", "doveadm", "-c", conf, "user", "bob@demo.test")
		for _, want := range []string{"uid\t65534", "home\t" + dir + "/mail/bob", "quota_rule\t*:bytes=1G"} {
			if !strings.Contains(out, want) {
				t.Errorf("doveadm user: no %q in\n%s", want, out)
			}
		}
		if out, err := try("", "doveadm", "-c", conf, "user", "nobody@demo.test"); err == nil || !strings.Contains(out, "doesn't exist") {
			t.Errorf("doveadm user of nobody: %v\n%s", err, out)
		}
		if out := run(t, "", "doveadm", "-c", conf, "user", "*"); !strings.Contains(out, "alice@demo.test\nbob@demo.test\n") {
			t.Errorf("doveadm user '*':\n%s", out)
		}
		if out := run(t, "", "doveadm", "-c", conf, "auth", "test", "alice@demo.test", "secret"); !strings.Contains(out, "auth succeeded") {
			t.Errorf("doveadm auth test:\n%s", out)
		}
		if out, err := try("", "doveadm", "-c", conf, "auth", "test", "alice@demo.test", "wrong"); err == nil || !strings.Contains(out, "auth failed") {
			t.Errorf("doveadm auth test, wrong password: %v\n%s", err, out)
		}
		if out := run(t, "", "doveadm", "-c", conf, "auth", "cache", "flush"); !strings.Contains(out, "flushed") {
			t.Errorf("doveadm auth cache flush:\n%s", out)
		}
	})
	t.Run("restart", func(t *testing.T) {
		a.stop()
		a.start(sock("login/login"), sock("auth-master"))
		url := fmt.Sprintf("imap://127.0.0.1:%d", imap)
		eventually(t, "IMAP login after authd came back", func() bool {
			_, err := try("", "curl", "-sS", "-u", "alice@demo.test:secret", url)
			return err == nil
		})
	})
}

// manageSieve logs in at a ManageSieve server and stores a script.
func manageSieve(t *testing.T, port int, user, password string) {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	plain := base64Of("\x00" + user + "\x00" + password)
	fmt.Fprintf(c, "AUTHENTICATE \"PLAIN\" %q\r\nPUTSCRIPT \"a\" {6+}\r\nkeep;\n\r\nLOGOUT\r\n", plain)
	var all strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			break
		}
	}
	for _, want := range []string{`OK "Logged in."`, `OK "PUTSCRIPT completed."`} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("no %s in:\n%s", want, all.String())
		}
	}
}
