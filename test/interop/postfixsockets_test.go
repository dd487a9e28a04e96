//go:build interop

package interop

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A Dovecot as Postfix's users have it: its auth and LMTP sockets lie in
// Postfix's private folder, and nobody else asks its userdb. mtad is put in
// Postfix's place.
func TestDovecotInPostfixsSockets(t *testing.T) {
	need(t, "dovecot", "doveadm", "swaks", "postfix")
	if os.Getuid() != 0 {
		t.Skip("a private Dovecot needs root to start")
	}
	dir := tempDir(t, "dovecot")
	private := dir + "/spool/postfix/private"
	run(t, "", "install", "-d", dir+"/spool/postfix")
	run(t, "", "install", "-d", "-o", "postfix", "-m", "0700", private)
	run(t, "", "install", "-d", "-o", "65534", "-g", "65534", dir+"/mail")
	write(t, dir+"/users", "alice@demo.test:{PLAIN}secret::::::\nbob@demo.test:{PLAIN}secret::::::\nfull@demo.test:{PLAIN}secret::::::userdb_quota_rule=*:storage=1B\n", 0o644)
	conf := write(t, dir+"/dovecot.conf", fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-sockets
log_path = %[1]s/log
protocols = lmtp
ssl = no
disable_plaintext_auth = yes
auth_mechanisms = plain login cram-md5 scram-sha-256
auth_failure_delay = 0
first_valid_uid = 1
first_valid_gid = 1
recipient_delimiter = +
mail_location = maildir:~/Maildir
mail_plugins = quota
plugin {
  quota = count:User
  quota_vsizes = yes
  quota_grace = 0
}
mailbox_list_index = yes
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
userdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
  default_fields = uid=65534 gid=65534 home=%[1]s/mail/%%n
}
protocol lmtp {
  postmaster_address = postmaster@demo.test
}
service lmtp {
  unix_listener %[2]s/dovecot-lmtp {
    mode = 0600
    user = postfix
    group = postfix
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service auth {
  unix_listener %[2]s/auth {
    mode = 0660
    user = postfix
    group = postfix
  }
}
`, dir, private), 0o644)
	run(t, "", "dovecot", "-c", conf)
	t.Cleanup(func() {
		_, _ = try("", "doveadm", "-c", conf, "stop")
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/log")
			t.Logf("Dovecot's log:\n%s", log)
		}
	})
	waitAuth(t, private+"/auth")
	s := start(t, map[string]func(string) string{"mtad": func(c string) string {
		c = setting(c, "auth_socket:", private+"/auth")
		c = setting(c, "exists_socket:", `""`)
		return setting(c, "lmtp:", "unix:"+private+"/dovecot-lmtp")
	}})
	in := func(who, mark string) {
		t.Helper()
		eventually(t, who+" has "+mark, func() bool {
			return strings.Contains(strings.Join(messages(dir+"/mail/"+who+"/Maildir"), ""), mark)
		})
	}
	send := func(mech, password, to, mark string) (string, error) {
		return try("", "swaks", "--server", s.Addr(587), "--tls", "--auth", mech, "--auth-user", "alice@demo.test", "--auth-password", password,
			"--from", "alice@demo.test", "--to", to, "--header", "Subject: "+mark)
	}

	for _, mech := range []string{"PLAIN", "LOGIN", "CRAM-MD5"} {
		if out, err := send(mech, "secret", "bob@demo.test", "by-"+mech); err != nil {
			t.Errorf("%s: %v\n%s", mech, err, out)
			continue
		}
		in("bob", "Subject: by-"+mech)
		if out, err := send(mech, "wrong", "bob@demo.test", "never"); err == nil || !strings.Contains(out, "535 5.7.8") {
			t.Errorf("%s with a wrong password: %v\n%s", mech, err, out)
		}
	}
	out, err := send("PLAIN", "secret", "bob+list@demo.test,alice@demo.test", "to-two")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	in("bob", "Subject: to-two")
	in("alice", "Subject: to-two")
	// Nobody tells mtad who exists: what Dovecot refuses comes back.
	for _, who := range []string{"nobody", "full"} {
		if out, err := send("PLAIN", "secret", who+"@demo.test", "not-for-"+who); err != nil {
			t.Errorf("%s: %v\n%s", who, err, out)
		}
		in("alice", "Final-Recipient: rfc822; "+who+"@demo.test")
	}
	// Dovecot away: a login is a matter of later, and mail waits.
	// (Its auth process would answer the connections that it has even after a stop.)
	master, err := strconv.Atoi(strings.TrimSpace(run(t, "", "cat", dir+"/run/master.pid")))
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Kill(-master, syscall.SIGKILL)
	eventually(t, "a login is told to come back", func() bool {
		out, err := send("PLAIN", "secret", "bob@demo.test", "early")
		return err != nil && strings.Contains(out, "454 4.7.0")
	})
	run(t, "", "swaks", "--server", s.Addr(25), "--from", "x@y.test", "--to", "bob@demo.test", "--header", "Subject: while-away")
	run(t, "", "dovecot", "-c", conf)
	in("bob", "Subject: while-away")
}

// setting gives a key of a configuration file another value.
func setting(c, key, value string) string {
	head, rest, found := strings.Cut(c, key)
	if !found {
		return c + "\n" + key + " " + value + "\n"
	}
	_, tail, _ := strings.Cut(rest, "\n")
	return head + key + " " + value + "\n" + tail
}
