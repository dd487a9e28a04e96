//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A client of CONDSTORE goes from Dovecot to imapd and, after `imapd release`,
// back to Dovecot: in a folder that Dovecot knew, and in one that it did not,
// HIGHESTMODSEQ never falls, UIDs and flags stay, and the next change is told
// to who asks for what came after the last MODSEQ it knows.
func TestReleaseRaisesDovecotsModSeq(t *testing.T) {
	s := start(t, nil)
	a := s.Accounts[0]
	home := s.Dir + "/mail/%d/%n"
	own := func() { run(t, "", "chown", "-R", "65534:65534", s.Path("mail")) }

	own()
	d := serveMail(t, s.Accounts, home, "maildir:~/Maildir")
	c := dialIMAP(t, fmt.Sprintf("127.0.0.1:%d", d.port), "")
	c.login(a)
	c.must("CREATE Old")
	c.append("Old", []string{letterOf("Subject: 1", "x"), letterOf("Subject: 2", "x"), letterOf("Subject: 3", "x")})
	c.must("SELECT Old (CONDSTORE)")
	c.must(`UID STORE 2 +FLAGS.SILENT (\Flagged)`)
	c.must("STATUS INBOX (HIGHESTMODSEQ)")
	known := map[string]folderState{"Old": stateOf(c, "Old")}
	c.must("LOGOUT")
	d.stop(t)

	c = dialIMAP(t, s.Addr(993), s.Path("etc/tls/cert.pem"))
	c.login(a)
	c.must("CREATE New")
	c.append("New", []string{letterOf("Subject: 4", "x"), letterOf("Subject: 5", "x"), letterOf("Subject: 6", "x")})
	for _, folder := range []string{"Old", "New"} {
		c.must("SELECT " + folder + " (CONDSTORE)")
		for range 40 {
			c.must(`UID STORE 1 +FLAGS.SILENT (\Seen $Work)`)
			c.must(`UID STORE 1 -FLAGS.SILENT (\Seen)`)
		}
		c.must(`UID STORE 3 +FLAGS.SILENT (\Deleted)`)
		c.must("UID EXPUNGE 3")
		now := stateOf(c, folder)
		if before := known[folder]; now.modseq < before.modseq+80 {
			t.Errorf("%s: HIGHESTMODSEQ went from %d to %d", folder, before.modseq, now.modseq)
		}
		known[folder] = now
	}
	c.must("LOGOUT")
	if out := run(t, "", filepath.Join(s.Bin, "imapd"), "release", "-c", s.Path("etc/imapd.yaml"), a.Name); !strings.Contains(out, "released") {
		t.Errorf("imapd release: %s", out)
	}
	s.Procs["imapd"].Stop()

	own()
	d = serveMail(t, s.Accounts, home, "maildir:~/Maildir")
	c = dialIMAP(t, fmt.Sprintf("127.0.0.1:%d", d.port), "")
	c.login(a)
	for folder, before := range known {
		if n := number(`HIGHESTMODSEQ (\d+)`, said(c, "STATUS "+folder+" (HIGHESTMODSEQ)")); n < before.modseq {
			t.Errorf("%s: STATUS says HIGHESTMODSEQ %d after %d", folder, n, before.modseq)
		}
		now := stateOf(c, folder)
		if now.modseq < before.modseq || now.validity != before.validity || !slices.Equal(now.messages, before.messages) {
			t.Errorf("%s was %+v and is %+v", folder, before, now)
		}
		c.must(`UID STORE 2 +FLAGS.SILENT (\Answered)`)
		changes := said(c, fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", now.modseq))
		if !strings.Contains(changes, "UID 2 ") || strings.Contains(changes, "UID 1 ") || number(`MODSEQ \((\d+)\)`, changes) <= before.modseq {
			t.Errorf("%s: what has changed since %d: %s", folder, now.modseq, changes)
		}
	}
	c.must("LOGOUT")
	if log := d.log(); strings.Contains(log, "Error:") || strings.Contains(log, "Panic") {
		t.Errorf("Dovecot complains:\n%s", log)
	}
}

// folderState is what a client keeps of a folder.
type folderState struct {
	validity, modseq uint64
	messages         []string // UID and flags
}

func stateOf(c *imapConn, folder string) folderState {
	selected := said(c, "SELECT "+folder+" (CONDSTORE)")
	f := folderState{validity: number(`UIDVALIDITY (\d+)`, selected), modseq: number(`HIGHESTMODSEQ (\d+)`, selected)}
	untagged, _ := c.send("UID FETCH 1:* (FLAGS)")
	for _, line := range untagged {
		uid, flags := fetchedUID.FindStringSubmatch(line), fetchedFlags.FindStringSubmatch(line)
		if uid == nil || flags == nil {
			continue
		}
		words := strings.Fields(strings.ReplaceAll(flags[1], `\Recent`, ""))
		slices.Sort(words)
		f.messages = append(f.messages, uid[1]+" "+strings.Join(words, " "))
	}
	return f
}

// said is all of an answer.
func said(c *imapConn, command string) string {
	untagged, tagged := c.send(command)
	return strings.Join(append(untagged, tagged), "\n")
}
