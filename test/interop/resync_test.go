//go:build interop

package interop

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// QRESYNC by our imapd and by Dovecot: a client that comes back is told of the
// same expunges and the same flags.
func TestResyncAgreesWithDovecot(t *testing.T) {
	s := start(t, nil)
	a := s.Accounts[0]
	dir, err := os.MkdirTemp("", "resync")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	run(t, "", "chmod", "755", dir)
	run(t, "", "install", "-d", "-o", "65534", "-g", "65534", "-m", "2770", dir+"/mail")
	d := serveMail(t, s.Accounts, dir+"/mail/%n", "maildir:~/Maildir")

	told := map[string][]string{}
	for name, dial := range map[string]func() *imapConn{
		"ours":    func() *imapConn { return dialIMAP(t, s.Addr(993), s.Path("etc/tls/cert.pem")) },
		"Dovecot": func() *imapConn { return dialIMAP(t, fmt.Sprintf("127.0.0.1:%d", d.port), "") },
	} {
		c, other := dial(), dial()
		c.login(a)
		other.login(a)
		told[name] = resyncScript(c, other)
	}
	if ours, theirs := told["ours"], told["Dovecot"]; !slices.Equal(ours, theirs) {
		t.Errorf("ours:\n%s\nDovecot's:\n%s", strings.Join(ours, "\n"), strings.Join(theirs, "\n"))
	}
	t.Log(strings.Join(told["ours"], "\n"))
}

// resyncScript has other change a mailbox behind the back of c, and notes what
// c is told of it.
func resyncScript(c, other *imapConn) (notes []string) {
	note := func(command string) string {
		untagged, tagged := c.send(command)
		notes = append(notes, strings.Fields(command)[0]+": "+outcome(untagged, tagged))
		return strings.Join(untagged, "\n") + tagged
	}
	c.must("CREATE Sync")
	var mails []string
	for i := range 10 {
		mails = append(mails, letterOf(fmt.Sprintf("From: a@x\nSubject: %d", i), "x"))
	}
	c.append("Sync", mails)
	c.must("ENABLE QRESYNC")
	selected := note("SELECT Sync")
	validity, mark := number(`UIDVALIDITY (\d+)`, selected), number(`HIGHESTMODSEQ (\d+)`, selected)

	other.must("SELECT Sync (CONDSTORE)")
	other.must(`UID STORE 2,4 +FLAGS.SILENT (\Draft $Sync)`)
	other.must(`UID STORE 3,7:8 +FLAGS.SILENT (\Deleted)`)
	other.must("UID EXPUNGE 1:10")
	other.append("Sync", mails[:1])
	note("NOOP")

	for _, known := range []string{"", " 1:10", " 4:9", " 1:10 (1,2 1,2)"} {
		note(fmt.Sprintf("SELECT Sync (QRESYNC (%d %d%s))", validity, mark, known))
	}
	note(fmt.Sprintf("SELECT Sync (QRESYNC (%d %d))", validity+1, mark))
	note(fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", mark))
	note(fmt.Sprintf("UID FETCH 1:5 (FLAGS) (CHANGEDSINCE %d)", mark))

	now := number(`HIGHESTMODSEQ (\d+)`, note("SELECT Sync"))
	other.must(`UID STORE 2 +FLAGS.SILENT (\Flagged)`)
	note(fmt.Sprintf(`UID STORE 2,6 (UNCHANGEDSINCE %d) FLAGS.SILENT (\Answered)`, now))
	note("UID FETCH 1:* (FLAGS)")
	note(fmt.Sprintf("UID SEARCH MODSEQ %d", now+1))
	note(`UID STORE 9 +FLAGS.SILENT (\Deleted)`)
	note("EXPUNGE")
	note(fmt.Sprintf("SELECT Sync (QRESYNC (%d %d 1:10))", validity, now))
	for _, wrong := range []string{
		"SELECT Sync (QRESYNC (1))", "FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)", "UID FETCH 1 FLAGS (VANISHED)", "SELECT Sync (BOGUS)",
	} {
		note(wrong)
	}
	return notes
}

func number(pattern, text string) uint64 {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseUint(m[1], 10, 64)
	return n
}

var (
	vanishedLine = regexp.MustCompile(`^\* VANISHED (?:\((EARLIER)\) )?([0-9,:]+)$`)
	fetchedUID   = regexp.MustCompile(`\bUID (\d+)`)
	fetchedFlags = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
)

// outcome is what an answer means to a client that keeps a copy: MODSEQs are
// each server's own, and so is whether a flag is told twice.
func outcome(untagged []string, tagged string) string {
	out := map[string]bool{}
	for _, line := range untagged {
		if m := vanishedLine.FindStringSubmatch(line); m != nil {
			out["vanished "+m[1]+" "+m[2]] = true
		}
		if strings.HasPrefix(line, "* SEARCH") {
			out[regexp.MustCompile(`MODSEQ \d+`).ReplaceAllString(line, "MODSEQ n")] = true
		}
		if uid := fetchedUID.FindStringSubmatch(line); uid != nil && fetchedFlags.MatchString(line) {
			out["UID "+uid[1]+" has "+strings.Join(flagsOf(line), " ")] = true
		}
	}
	result, _, _ := strings.Cut(tagged, " ")
	if m := regexp.MustCompile(`\[MODIFIED ([0-9,:]+)\]`).FindString(tagged); m != "" {
		result += " " + m
	}
	var list []string
	for k := range out {
		list = append(list, k)
	}
	slices.Sort(list)
	return result + " " + strings.Join(list, "; ")
}
