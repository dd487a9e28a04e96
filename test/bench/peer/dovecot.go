package peer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// HasDovecot reports whether a private one can be run: it must be installed, and
// its master wants to be root.
func HasDovecot() bool {
	_, err := exec.LookPath("dovecot")
	_, err2 := exec.LookPath("doveadm")
	return err == nil && err2 == nil && os.Getuid() == 0
}

// Dovecot runs a Dovecot below dir; config is what is not its base.
func Dovecot(dir, config string, ready func() bool) (*Server, error) {
	conf := filepath.Join(dir, "dovecot.conf")
	text := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
instance_name = postcote-bench
log_path = %[1]s/log
disable_plaintext_auth = no
first_valid_uid = 1
default_client_limit = 20000
default_process_limit = 4000
default_vsz_limit = 1G
auth_mechanisms = plain login
auth_cache_size = 64M
auth_cache_verify_password_with_worker = no
auth_failure_delay = 0
%[2]s`, dir, config)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	pid := 0
	start := func() error {
		if err := run(dir, "dovecot", "-c", conf); err != nil {
			return err
		}
		err := until(func() bool {
			text, _ := os.ReadFile(filepath.Join(dir, "run/master.pid"))
			pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
			return pid > 1 && ready()
		})
		if err != nil {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			err = fmt.Errorf("dovecot: %w\n%s", err, log)
		}
		return err
	}
	s := &Server{Name: "Dovecot", roots: func() []int { return []int{pid} }, stop: func() {
		_ = exec.Command("doveadm", "-c", conf, "stop").Run()
		_ = until(func() bool { return gone(pid) })
	}}
	s.restart = func() error { s.stop(); return start() }
	if err := start(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// DovecotMail runs a Dovecot that serves and takes the mail of users. Logins are
// checked in the auth process, and processes are kept and used again, unless
// fresh asks for Dovecot's default: a new one for each connection.
func DovecotMail(dir string, users []string, fresh bool) (*Server, error) {
	if err := os.MkdirAll(filepath.Join(dir, "home"), 0o755); err != nil {
		return nil, err
	}
	if err := os.Chown(filepath.Join(dir, "home"), MailUID, MailUID); err != nil {
		return nil, err
	}
	if err := writeUsers(filepath.Join(dir, "users"), users); err != nil {
		return nil, err
	}
	if err := writeCertificate(dir); err != nil {
		return nil, err
	}
	var imap, imaps, pop3 string
	if err := freeAddresses(&imap, &imaps, &pop3); err != nil {
		return nil, err
	}
	lmtp := filepath.Join(dir, "run/lmtp")
	config := fmt.Sprintf(dovecotMail, dir, port(imap), port(imaps), port(pop3), MailUID)
	if fresh {
		config = serviceCount.ReplaceAllString(config, "")
	}
	both := func() bool { return Answers(imap)() && Answers(lmtp)() }
	s, err := Dovecot(dir, config, both)
	if err != nil {
		return nil, err
	}
	s.IMAP, s.IMAPS, s.POP3, s.LMTP = imap, imaps, pop3, lmtp
	s.Home = func(user string) string { return filepath.Join(dir, "home", user) }
	return s, nil
}

var serviceCount = regexp.MustCompile(`(?m)^  (service_count|process_min_avail) = .*\n`)

const dovecotMail = `protocols = imap pop3 lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
passdb {
  driver = passwd-file
  args = username_format=%%u %[1]s/users
}
userdb {
  driver = static
  args = uid=%[5]d gid=%[5]d home=%[1]s/home/%%n allow_all_users=yes
}
first_valid_gid = 1
hostname = bench.test
postmaster_address = postmaster@bench.test
mail_location = maildir:~/Maildir
mail_fsync = optimized
maildir_very_dirty_syncs = yes
maildir_copy_with_hardlinks = yes
mail_max_userip_connections = 20000
service imap-login {
  inet_listener imap {
    port = %[2]s
  }
  inet_listener imaps {
    port = %[3]s
    ssl = yes
  }
  service_count = 0
  process_min_avail = 2
  process_limit = 16
}
service pop3-login {
  inet_listener pop3 {
    port = %[4]s
  }
  inet_listener pop3s {
    port = 0
  }
  service_count = 0
  process_min_avail = 1
}
service imap {
  process_limit = 12000
  service_count = 200
  process_min_avail = 2
}
service pop3 {
  service_count = 200
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
  process_min_avail = 2
  process_limit = 250
}
`
