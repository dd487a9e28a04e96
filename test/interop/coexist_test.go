//go:build interop

package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/test/coexist"
	"github.com/postcote/postcote/test/suite"
)

// coexistOperations is the length of each experiment; COEXIST_OPS is another.
func coexistOperations() int {
	if n, err := strconv.Atoi(os.Getenv("COEXIST_OPS")); err == nil {
		return n
	}
	return 10_000
}

// nothingLost fails the test if anything happened that must not.
func nothingLost(t *testing.T, report coexist.Report, d dovecot) {
	t.Helper()
	t.Logf("\n%s%s\n%s", report, report.FirstFailure, strings.Join(report.Examples, "\n"))
	if log := complaints(d.log()); log != "" {
		t.Logf("Dovecot complains:\n%s", log)
	}
	if report.ChangedUIDs+report.LostMessages+report.BackFromDead > 0 {
		t.Error("a UID changed, or a message is lost or came back")
	}
	if report.LostFlags+report.LostSubscriptions+report.Disagreements > 0 {
		t.Error("a flag or a subscription that was acknowledged is lost, or something is shown otherwise")
	}
	if report.Failed > 0 {
		t.Errorf("%d operations were refused", report.Failed)
	}
}

// A stock Dovecot and our store on one Maildir at the same time, under random
// load: nothing that was acknowledged may be lost. docs/decisions/0011 has the
// figures.
func TestCoexistWithDovecot(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
	}{{"renames at once", 0}, {"renames 2 s later", 2 * time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			dir := tempDir(t, "coexist")
			run(t, "", "install", "-d", "-o", "65534", "-g", "65534", "-m", "2770", dir+"/mail", dir+"/mail/joe", dir+"/mail/joe/Maildir")
			joe := suite.Account{Name: "joe", Password: "secret"}
			d := serveMail(t, []suite.Account{joe}, dir+"/mail/%n", "maildir:~/Maildir")
			// Both write in one group, as on an installed system.
			defer syscall.Umask(syscall.Umask(0o007))
			report, err := coexist.Run(t.Context(), coexist.Options{
				IMAP: fmt.Sprintf("127.0.0.1:%d", d.port), User: joe.Name, Password: joe.Password,
				Maildir: dir + "/mail/joe/Maildir", IndexRoot: dir + "/index",
				Operations: coexistOperations(), RenameAfter: c.after, Seed: 1,
			})
			if err != nil {
				t.Fatal(err)
			}
			nothingLost(t, report, d)
		})
	}
}

// The same with imapd itself: in shared mode at the same time as Dovecot, and
// in exclusive mode in turns with it. Both show the same UIDs, flags, keywords,
// subscriptions and POP3 ids; in turns they do so after each one.
func TestImapdAndDovecotOnOneMaildir(t *testing.T) {
	for _, c := range []struct {
		name, mode string
		turns      int
	}{{"at the same time", "shared", 0}, {"in turns", "exclusive", 10}} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, map[string]func(string) string{"imapd": func(text string) string { return text + "\nstore_mode: " + c.mode + "\n" }})
			a, maildir := s.Accounts[0], filepath.Join(s.Home("alice"), "Maildir")
			run(t, "", "install", "-d", "-o", "65534", "-g", "65534", "-m", "2770", s.Path("mail"), s.Path("mail/demo.test"), s.Home("alice"), maildir)
			d := serveMail(t, s.Accounts[:1], s.Path("mail")+"/%d/%n", "maildir:~/Maildir")
			waitPort(t, d.pop3)
			defer syscall.Umask(syscall.Umask(0o007))
			report, err := coexist.Run(t.Context(), coexist.Options{
				IMAP: fmt.Sprintf("127.0.0.1:%d", d.port), OurIMAP: s.Addr(143), User: a.Name, Password: a.Password,
				POP3: fmt.Sprintf("127.0.0.1:%d", d.pop3), OurPOP3: s.Addr(110),
				Maildir: maildir, Operations: coexistOperations(), Seed: 1, Turns: c.turns,
				Release: func(context.Context) error {
					out, err := try("", s.Procs["imapd"].Binary(), "release", "-c", s.Procs["imapd"].Config(), a.Name)
					if err != nil {
						return fmt.Errorf("imapd release: %w: %s", err, out)
					}
					return nil
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			nothingLost(t, report, d)
		})
	}
}

// complaints are the lines of a Dovecot log that are not mere information.
func complaints(log string) string {
	var out []string
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "Info:") && len(out) < 20 {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}
