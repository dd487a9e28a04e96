//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/test/suite"
)

// tools links mtad under the names of Postfix's commands into a folder.
func tools(t *testing.T) string {
	t.Helper()
	dir := tempDir(t, "mailtools")
	mtad, err := filepath.Abs("../../bin/mtad")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sendmail", "mailq", "postqueue", "postsuper", "postcat", "newaliases"} {
		if err := os.Symlink(mtad, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// mutt, a shell as root and nobody, and what msmtp's users type hand mail to
// sendmail; while mtad is down it stays in the drop.
func TestSendmailForPrograms(t *testing.T) {
	need(t, "mutt")
	s := start(t, nil)
	bin, conf := tools(t), s.Procs["mtad"].Config()
	sendmail := bin + "/sendmail -C " + conf
	to := s.Accounts[0].Name
	run(t, "text\n", "mutt", "-n", "-F", "/dev/null", "-e", "set sendmail=\""+sendmail+"\"", "-e", "set from=root@demo.test", "-e", "set copy=no", "-s", "by-mutt", to)
	arrived(t, s, "alice", "Subject: by-mutt")
	run(t, "Subject: by-shell\n\nx\n", "sh", "-c", sendmail+" -oem -f nobody@demo.test "+to)
	if got := arrived(t, s, "alice", "Subject: by-shell"); !strings.Contains(got, "from userid 0") || !strings.Contains(got, "Return-Path: <nobody@demo.test>") {
		t.Errorf("arrived:\n%s", got)
	}
	s.Procs["mtad"].Stop()
	if out, err := try("Subject: by-drop\n\nx\n", "sh", "-c", sendmail+" -i "+to); err != nil {
		t.Fatalf("sendmail with mtad down: %v %s", err, out)
	}
	if err := s.Procs["mtad"].Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	arrived(t, s, "alice", "Subject: by-drop")
	if out := run(t, "", bin+"/mailq", "-C", conf); out != "Mail queue is empty\n" {
		t.Errorf("mailq: %q", out)
	}
}

// counted finds the count before a word of pflogsumm's totals.
func counted(t *testing.T, report, what string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^\s*(\d+)\s+` + what + `\b`).FindStringSubmatch(report)
	if m == nil {
		t.Fatalf("no %s in:\n%s", what, report)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// pflogsumm and fail2ban's filter for Postfix read the log of a whole run and
// count what happened in it.
func TestLogReaders(t *testing.T) {
	need(t, "pflogsumm", "fail2ban-regex", "curl", "swaks")
	s := start(t, map[string]func(string) string{"mtad": func(c string) string {
		return c + "\nlog: {style: classic}\nrelayhost: \"[127.0.0.1]:1\"\n"
	}})
	alice, bob := s.Accounts[0].Name, s.Accounts[1].Name
	for i := range 3 { // delivered here
		submit(t, s, bob, fmt.Sprintf("local-%d", i))
		arrived(t, s, "bob", fmt.Sprintf("local-%d", i))
	}
	submit(t, s, "far@far.test", "deferred") // nobody listens at the relay host
	for range 2 {                            // refused before the message
		_, _ = try(letter("x@x.test", "nobody@demo.test", "no"), "curl", "-sS", "--mail-from", "x@x.test", "--mail-rcpt", "nobody@demo.test", "-T", "-", "smtp://"+s.Addr(25))
	}
	_, _ = try("", "swaks", "--server", "127.0.0.1", "--port", fmt.Sprint(s.Base+587), "--tls", "--auth", "PLAIN", "--auth-user", alice, "--auth-password", "wrong", "--quit-after", "AUTH")
	run(t, "Subject: by-uid\n\nx\n", "sh", "-c", tools(t)+"/sendmail -C "+s.Procs["mtad"].Config()+" -f "+alice+" "+bob)
	arrived(t, s, "bob", "Subject: by-uid")

	log := s.Procs["mtad"].LogFile()
	var report string
	eventually(t, "the log tells of all", func() bool {
		text, _ := os.ReadFile(log)
		return strings.Contains(string(text), "status=deferred") && strings.Count(string(text), ": removed") >= 4
	})
	// On the terminal there is no syslog in front of the lines.
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var maillog strings.Builder
	for _, l := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if !regexp.MustCompile(`^\w{3} [ \d]\d `).MatchString(l) {
			l = time.Now().Format(time.Stamp) + " host " + l
		}
		maillog.WriteString(l + "\n")
	}
	file := write(t, filepath.Join(tempDir(t, "maillog"), "mail.log"), maillog.String(), 0o644)
	report = run(t, "", "pflogsumm", file)
	for what, want := range map[string]int{"received": 5, "delivered": 4, "deferred": 1, "bounced": 0, "rejected": 2} {
		if got := counted(t, report, what); got != want {
			t.Errorf("pflogsumm counts %d %s, want %d in\n%s\n%s", got, what, want, report, maillog.String())
		}
	}
	if !strings.Contains(report, "connect to 127.0.0.1[127.0.0.1]:1: Connection refused") && !strings.Contains(report, "Connection refused") {
		t.Errorf("no reason of the deferral in\n%s", report)
	}
	hits := strings.Fields(run(t, "", "fail2ban-regex", "-o", "ip", file, "postfix[mode=aggressive]"))
	if len(hits) < 3 {
		t.Errorf("fail2ban finds %v in\n%s", hits, maillog.String())
	}
}

// dsnPostfix delivers remote.test and sends the rest to mtad.
func dsnPostfix(t *testing.T, s *suite.Suite) *postfix {
	return startPostfix(t, fmt.Sprintf(`virtual_mailbox_domains = remote.test
virtual_mailbox_maps = static:box/
virtual_mailbox_base = $queue_directory/../mail
virtual_uid_maps = static:65534
virtual_gid_maps = static:65534
virtual_minimum_uid = 1
relayhost = [127.0.0.1]:%d`, s.Base+25))
}

// Reports of success cross the border between Postfix and mtad both ways: the
// one that delivers reports, the other does not.
func TestDSNWithPostfix(t *testing.T) {
	need(t, "postfix")
	port := freePort(t)
	s := start(t, map[string]func(string) string{"mtad": func(c string) string {
		return c + fmt.Sprintf("\nroutes: {remote.test: \"smtp:[127.0.0.1]:%d\", plain.test: \"smtp:[127.0.0.1]:%d\"}\n", port, port)
	}})
	p := dsnPostfix(t, s)
	run(t, "", "postconf", "-c", filepath.Join(p.dir, "etc"), "-M", fmt.Sprintf("127.0.0.1:%d/inet=127.0.0.1:%d inet n - n - - smtpd", port, port))
	run(t, "", "postfix", "-c", filepath.Join(p.dir, "etc"), "reload")
	waitPort(t, port)
	alice, bob := s.Accounts[0].Name, s.Accounts[1].Name

	// Postfix to mtad, which delivers and reports.
	run(t, "Subject: from-postfix\n\nx\n", "sh", "-c", fmt.Sprintf("sendmail -C %s/etc -f %s -N success,failure -V env-1 -R hdrs %s", p.dir, bob, alice))
	arrived(t, s, "alice", "Subject: from-postfix")
	got := arrived(t, s, "bob", "Action: delivered")
	for _, want := range []string{"Original-Envelope-Id: env-1", "Original-Recipient: rfc822; " + alice, "Final-Recipient: rfc822; " + alice, "text/rfc822-headers", "mail.demo.test"} {
		if !strings.Contains(strings.ReplaceAll(got, "rfc822;"+alice, "rfc822; "+alice), want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	log, _ := os.ReadFile(filepath.Join(p.dir, "maillog"))
	if strings.Contains(string(log), "delivery status notification") {
		t.Errorf("Postfix reported what mtad reports:\n%s", log)
	}

	// mtad to Postfix, which delivers and reports.
	run(t, "Subject: to-postfix\n\nx\n", "sh", "-c", fmt.Sprintf("%s/sendmail -C %s -f %s -N success -V env-2 friend@remote.test", tools(t), s.Procs["mtad"].Config(), bob))
	got = arrived(t, s, "bob", "env-2")
	for _, want := range []string{"postfix.test", "Action: delivered", "friend@remote.test"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
}
