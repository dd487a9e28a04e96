//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// cachingMutt is a mutt that keeps headers and bodies in dir between its runs,
// with more settings.
type cachingMutt struct {
	dir string
	s   *suite.Suite
	set string
}

// look returns what mutt shows, a line for each message as shows does, and its
// dialogue with the server.
func (m cachingMutt) look(t *testing.T) (shown []string, dialogue string) {
	t.Helper()
	box := filepath.Join(m.dir, "copy.mbox")
	debug := filepath.Join(m.dir, ".muttdebug0")
	_, _ = os.Remove(box), os.Remove(debug)
	rc := muttConfig(t, m.s, m.dir, box, m.set, fmt.Sprintf("set header_cache=%[1]s/headers\nset message_cachedir=%[1]s/bodies", m.dir))
	_, _ = try("", "script", "-qec", fmt.Sprintf("HOME=%s TERM=xterm mutt -d 4 -F %s -f imaps://localhost:%d/INBOX", m.dir, rc, m.s.Base+993), "/dev/null")
	for mail := range strings.SplitSeq(read(t, box), "\nFrom ") {
		var flags []string
		for _, f := range []struct{ header, letter, flag string }{{"X-Status: ", "A", `\Answered`}, {"X-Status: ", "F", `\Flagged`}, {"Status: ", "R", `\Seen`}} {
			_, rest, _ := strings.Cut(mail, "\n"+f.header)
			if letters, _, _ := strings.Cut(rest, "\n"); strings.Contains(letters, f.letter) {
				flags = append(flags, f.flag)
			}
		}
		slices.Sort(flags)
		shown = append(shown, subjectOf(mail)+" "+strings.Join(flags, " "))
	}
	slices.Sort(shown)
	return shown, read(t, debug)
}

var fetchedSeventh = regexp.MustCompile(`> a\d+ FETCH 7 \(UID FLAGS`)

// mutt's header cache, by CONDSTORE and by QRESYNC: whatever happened to the
// folder while mutt was away, it shows what the server has, without fetching
// again what it knows.
func TestMuttHeaderCache(t *testing.T) {
	need(t, "mutt", "script")
	for _, c := range []struct {
		name, set string
		asks      *regexp.Regexp
	}{
		{"CONDSTORE", "set imap_condstore=yes\nset imap_qresync=no", regexp.MustCompile(`> a\d+ UID FETCH 1:8 \(FLAGS\) \(CHANGEDSINCE \d+\)`)},
		{"QRESYNC", "set imap_condstore=yes\nset imap_qresync=yes", regexp.MustCompile(`> a\d+ UID FETCH 1:8 \(FLAGS\) \(CHANGEDSINCE \d+ VANISHED\)`)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, nil)
			m := cachingMutt{t.TempDir(), s, c.set}
			if err := os.MkdirAll(filepath.Join(m.dir, "headers"), 0o700); err != nil {
				t.Fatal(err)
			}
			conn := server(t, s)
			for i := range 8 {
				conn.put("INBOX", fmt.Sprintf("m%d", i))
			}
			away := func(commands ...string) {
				conn.must("SELECT INBOX")
				for _, command := range commands {
					conn.must(command)
				}
			}
			agree := func(stage string) string {
				t.Helper()
				shown, dialogue := m.look(t)
				if has := conn.shows("INBOX"); !slices.Equal(shown, has) {
					t.Errorf("%s:\nthe server has\n%s\nmutt shows\n%s", stage, strings.Join(has, "\n"), strings.Join(shown, "\n"))
				}
				return dialogue
			}
			agree("first time")
			away(`UID STORE 2 +FLAGS (\Flagged)`, `UID STORE 4,6 +FLAGS (\Deleted)`, "UID EXPUNGE 4,6", `UID STORE 7 FLAGS (\Answered \Seen)`)
			conn.put("INBOX", "new")
			dialogue := agree("after changes")
			if !c.asks.MatchString(dialogue) {
				t.Errorf("mutt did not ask %s:\n%s", c.asks, dialogue)
			}
			// The new message, and no other.
			if !fetchedSeventh.MatchString(dialogue) || strings.Count(dialogue, "RFC822.SIZE BODY.PEEK[") != 1 {
				t.Errorf("mutt fetched again what it has:\n%s", dialogue)
			}
			s.Procs["imapd"].Stop()
			if err := s.Procs["imapd"].Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			conn = server(t, s)
			away(`UID STORE 1:3 +FLAGS (\Deleted)`, "EXPUNGE", `UID STORE 8 -FLAGS (\Seen)`)
			agree("after a restart")
			agree("nothing new")
		})
	}
}
