//go:build interop

package interop

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/test/coexist"
	"github.com/postcote/postcote/test/suite"
)

// A stock Dovecot and our store on one Maildir at the same time, under random
// load: nothing that was acknowledged may be lost. COEXIST_OPS is the number of
// operations; docs/decisions/0011 has the figures for 10 000.
func TestCoexistWithDovecot(t *testing.T) {
	operations := 1000
	if n, err := strconv.Atoi(os.Getenv("COEXIST_OPS")); err == nil {
		operations = n
	}
	for _, c := range []struct {
		name  string
		after time.Duration
	}{{"renames at once", 0}, {"renames 2 s later", 2 * time.Second}} {
		t.Run(c.name, func(t *testing.T) {
			report, d := coexistWith(t, operations, c.after)
			t.Logf("\n%s%s\n%s", report, report.FirstFailure, strings.Join(report.Examples, "\n"))
			if log := complaints(d.log()); log != "" {
				t.Logf("Dovecot complains:\n%s", log)
			}
			if report.ChangedUIDs+report.LostMessages+report.BackFromDead > 0 {
				t.Error("a UID changed, or a message is lost or came back")
			}
			if report.LostFlags+report.Disagreements > 0 {
				t.Error("a flag that was acknowledged is lost, or is shown otherwise")
			}
		})
	}
}

func coexistWith(t *testing.T, operations int, after time.Duration) (coexist.Report, dovecot) {
	t.Helper()
	dir, err := os.MkdirTemp("", "coexist")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	run(t, "", "chmod", "755", dir)
	run(t, "", "install", "-d", "-o", "65534", "-g", "65534", "-m", "2770", dir+"/mail", dir+"/mail/joe", dir+"/mail/joe/Maildir")
	joe := suite.Account{Name: "joe", Password: "secret"}
	d := serveMail(t, []suite.Account{joe}, dir+"/mail/%n", "maildir:~/Maildir")
	// Both write in one group, as on an installed system.
	defer syscall.Umask(syscall.Umask(0o007))
	report, err := coexist.Run(t.Context(), coexist.Options{
		IMAP: fmt.Sprintf("127.0.0.1:%d", d.port), User: joe.Name, Password: joe.Password,
		Maildir: dir + "/mail/joe/Maildir", IndexRoot: dir + "/index",
		Operations: operations, RenameAfter: after, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return report, d
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
