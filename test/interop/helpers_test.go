//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// logsIn is a suite of which everything is real, asked by programs that know of
// mail alone.
type logsIn struct {
	*testing.T
	s *suite.Suite
}

// submit sends a message to oneself; the error holds the dialogue.
func (l logsIn) submit(user, password, mark string) error {
	out, err := try("", "swaks", "--server", l.s.Addr(587), "--tls", "--auth", "PLAIN", "--auth-user", user, "--auth-password", password,
		"--from", user, "--to", user, "--header", "Subject: "+mark)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// read returns curl's dialogue with INBOX, or with a maildrop.
func (l logsIn) read(scheme, user, password string) (string, error) {
	url := map[string]string{"imaps": "imaps://" + l.s.Addr(993) + "/INBOX;MAILINDEX=1", "pop3s": "pop3s://" + l.s.Addr(995) + "/1"}[scheme]
	return try("", "curl", "-sSv", "--max-time", "50", "--cacert", l.s.Path("etc/tls/cert.pem"), "-u", user+":"+password, url)
}

// taken: the user sends by SMTP, mail is delivered, and is read by IMAP and POP3.
func (l logsIn) taken(user, password string) {
	l.Helper()
	mark := "mail-of-" + strings.ReplaceAll(user, "@", "-")
	if err := l.submit(user, password, mark); err != nil {
		l.Errorf("submission by %s: %v", user, err)
		return
	}
	for _, scheme := range []string{"imaps", "pop3s"} {
		var out string
		eventually(l.T, user+" reads by "+scheme, func() (ok bool) {
			out, _ = l.read(scheme, user, password)
			return strings.Contains(out, mark)
		})
	}
}

// told demands the answers that a login gets by SMTP and by IMAP.
func (l logsIn) told(user, password, smtp, imap string) {
	l.Helper()
	if err := l.submit(user, password, "never"); err == nil || !strings.Contains(err.Error(), smtp) {
		l.Errorf("submission by %s with %q, want %s: %v", user, password, smtp, err)
	}
	if out, err := l.read("imaps", user, password); err == nil || !strings.Contains(out, imap) {
		l.Errorf("IMAP by %s with %q, want %s: %v\n%s", user, password, imap, err, out)
	}
}

// puts demands what port 25 says to a recipient.
func (l logsIn) puts(rcpt, want string) {
	l.Helper()
	out, err := try("", "swaks", "--server", l.s.Addr(25), "--from", "x@elsewhere.test", "--to", rcpt, "--quit-after", "RCPT")
	if (err == nil) != strings.HasPrefix(want, "250") || !strings.Contains(out, want) {
		l.Errorf("RCPT %s, want %s: %v\n%s", rcpt, want, err, out)
	}
}

const (
	smtpRefused, imapRefused = "535 5.7.8", "NO [AUTHENTICATIONFAILED]"
	smtpOutage, imapOutage   = "454 4.7.0", "NO [UNAVAILABLE]"
	rcptTaken, rcptUnknown   = "250 2.1.5", "550 5.1.1"
	rcptNobodyKnows          = "451 4."
)

// down: whatever becomes of a helper, nobody is told that a password is wrong,
// or that there is no such user.
func (l logsIn) down(socket string, stop func(), user, password string) {
	l.Helper()
	stop()
	_ = os.Remove(socket)
	for what, argv := range map[string][]string{"is not there": nil, "dies": {"/bin/false"}, "talks nonsense": {"/bin/sh", "-c", "echo hello >&0"}} {
		l.Run("helper "+what, func(t *testing.T) {
			l := logsIn{t, l.s}
			if argv != nil {
				defer socketUnitAt(t, socket, argv...)()
			}
			l.told(user, password, smtpOutage, imapOutage)
			l.told(user, "wrong", smtpOutage, imapOutage)
			l.puts("somebody@"+suite.Domain, rcptNobodyKnows)
		})
	}
}

// helperSuite is a suite whose authd asks helpers: passdb and userdb are the
// lists' entries.
func helperSuite(t *testing.T, passdb, userdb string) logsIn {
	t.Helper()
	return logsIn{t, start(t, map[string]func(string) string{"authd": databases(
		"passdb: [" + passdb + "]\nuserdb: [" + userdb + "]\nlogin: {failure_delay: 0s, penalty: false}\n",
	)})}
}

// Users of the system, by PAM and NSS, from SMTP and IMAP to the helper's
// process and back.
func TestPAMThroughAuthd(t *testing.T) {
	needPAM(t)
	need(t, "swaks", "curl")
	const user, password = "pcmail", "s3cret pass"
	systemUser(t, user, password)
	systemUser(t, "pcgone", "x")
	run(t, "", "chage", "-E", "1", "pcgone")
	systemUser(t, "pcstale", "x")
	run(t, "", "chage", "-d", "0", "pcstale")
	pamService(t, "postcote-interop")
	bin, socket := publicBinary(t, "authd-pam"), filepath.Join(tempDir(t, "unit"), "socket")
	stop := socketUnitAt(t, socket, bin)
	home := tempDir(t, "homes")
	l := helperSuite(t,
		fmt.Sprintf(`{driver: pam, pam: {socket: "%s", service: postcote-interop, user: "%%{username}"}}`, socket),
		fmt.Sprintf(`{driver: passwd, passwd: {socket: "%s", user: "%%{username}"}, override_fields: {home: "%s/%%{username}"}}`, socket, home))

	l.taken(user+"@"+suite.Domain, password)
	l.told(user+"@"+suite.Domain, "wrong", smtpRefused, imapRefused)
	l.told("pcnobody@"+suite.Domain, password, smtpRefused, imapRefused)
	l.told("pcgone@"+suite.Domain, "wrong", smtpRefused, imapRefused)
	l.told("pcgone@"+suite.Domain, "x", smtpRefused, "NO [CONTACTADMIN]")
	l.told("pcstale@"+suite.Domain, "x", smtpRefused, "NO [EXPIRED]")
	l.puts(user+"@"+suite.Domain, rcptTaken)
	l.puts("pcnobody@"+suite.Domain, rcptUnknown)
	if found, _ := filepath.Glob(home + "/" + user + "/Maildir/*/*"); len(found) == 0 {
		t.Error("the user's mail is not below the home that NSS and authd name")
	}
	l.down(socket, stop, user+"@"+suite.Domain, password)
}

// checkProgram is a checkpassword program in Perl, as sites have them: it knows
// alice, and leo, who has left; it cannot tell about broken.
const checkProgram = `#!/usr/bin/perl
use strict;
open(my $in, '<&=', 3) or exit 111;
local $/;
my ($user, $password) = split /\0/, <$in>;
my ($name) = split /@/, $user;
exit 111 if $name eq 'broken';
exit 3 unless $name eq 'alice' or $name eq 'leo';
if (($ENV{AUTHORIZED} // '') eq '1') {
	$ENV{AUTHORIZED} = 2;
} elsif ($password ne 'from a program') {
	exit 1;
}
$ENV{USER} = $user;
$ENV{HOME} = "HOMES/$name";
$ENV{EXTRA} = 'userdb_quota_rule';
$ENV{userdb_quota_rule} = '*:bytes=1G';
if ($name eq 'leo') {
	$ENV{EXTRA} .= ' nologin reason';
	$ENV{nologin} = 'y';
	$ENV{reason} = 'Leo works elsewhere';
}
exec @ARGV or exit 111;
`

// A checkpassword program is the only one that knows the users.
func TestCheckpasswordThroughAuthd(t *testing.T) {
	need(t, "swaks", "curl", "perl")
	if os.Getuid() != 0 {
		t.Skip("a helper that runs as another user needs root to start")
	}
	const alice, password = "alice@" + suite.Domain, "from a program"
	home := tempDir(t, "homes")
	program := write(t, filepath.Join(tempDir(t, "program"), "check"), strings.ReplaceAll(checkProgram, "HOMES", home), 0o755)
	bin, socket := publicBinary(t, "authd-checkpassword"), filepath.Join(tempDir(t, "unit"), "socket")
	stop := socketUnitAt(t, socket, bin, program)
	entry := fmt.Sprintf(`{driver: checkpassword, checkpassword: {socket: "%s"}}`, socket)
	l := helperSuite(t, entry, entry)

	l.taken(alice, password)
	l.told(alice, "wrong", smtpRefused, imapRefused)
	l.told("zoe@"+suite.Domain, password, smtpRefused, imapRefused)
	l.told("leo@"+suite.Domain, "wrong", smtpRefused, imapRefused)
	l.told("leo@"+suite.Domain, password, smtpRefused, "Leo works elsewhere")
	l.told("broken@"+suite.Domain, password, smtpOutage, imapOutage)
	l.puts(alice, rcptTaken)
	l.puts("zoe@"+suite.Domain, rcptUnknown)
	l.puts("broken@"+suite.Domain, rcptNobodyKnows)
	if found, _ := filepath.Glob(home + "/alice/Maildir/*/*"); len(found) == 0 {
		t.Error("the user's mail is not below the home that the program names")
	}
	l.down(socket, stop, alice, password)
}
