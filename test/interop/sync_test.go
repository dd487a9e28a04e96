//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/postcote/postcote/test/suite"
)

// server is a second client, by which the tests change things behind the back
// of the first, and look at the outcome.
func server(t *testing.T, s *suite.Suite) *imapConn {
	t.Helper()
	c := dialIMAP(t, s.Addr(993), s.Path("etc/tls/cert.pem"))
	c.login(s.Accounts[0])
	return c
}

var (
	envelopeSubject = regexp.MustCompile(`ENVELOPE \((?:NIL|"[^"]*") "([^"]*)"`)
	arrivedAt       = regexp.MustCompile(`INTERNALDATE "[^"]*"`)
)

// flagsOf are the flags of a FETCH answer that a test compares: not \Recent,
// which goes by who looked first.
func flagsOf(answer string) []string {
	m := fetchedFlags.FindStringSubmatch(answer)
	if m == nil {
		return nil
	}
	flags := slices.DeleteFunc(strings.Fields(m[1]), func(f string) bool { return f == `\Recent` })
	slices.Sort(flags)
	return flags
}

// shows is what a folder holds: a line of subject and system flags for each
// message, sorted.
func (c *imapConn) shows(folder string) []string {
	c.t.Helper()
	c.must("EXAMINE " + folder)
	untagged, _ := c.send("FETCH 1:* (FLAGS ENVELOPE)")
	c.must("UNSELECT")
	var out []string
	for _, l := range untagged {
		if m := envelopeSubject.FindStringSubmatch(l); m != nil {
			flags := slices.DeleteFunc(flagsOf(l), func(f string) bool { return f[0] != '\\' })
			out = append(out, m[1]+" "+strings.Join(flags, " "))
		}
	}
	slices.Sort(out)
	return out
}

// put appends messages with these subjects.
func (c *imapConn) put(folder string, subjects ...string) {
	c.t.Helper()
	for _, m := range subjects {
		text := letter("a@b.test", "c@d.test", m)
		c.must(fmt.Sprintf("APPEND %s {%d+}\r\n%s", folder, len(text), text))
	}
}

// subjectOf is the subject of a message.
func subjectOf(text string) string {
	_, rest, _ := strings.Cut(text, "Subject: ")
	subject, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSuffix(subject, "\r")
}

// localFolder is the same of a Maildir of a mail program.
func localFolder(t *testing.T, dir string) []string {
	t.Helper()
	names := map[rune]string{'R': `\Answered`, 'F': `\Flagged`, 'S': `\Seen`, 'T': `\Deleted`, 'D': `\Draft`}
	var out []string
	for _, file := range localFiles(dir) {
		_, letters, _ := strings.Cut(filepath.Base(file), ":2,")
		var flags []string
		for _, c := range letters {
			if names[c] != "" {
				flags = append(flags, names[c])
			}
		}
		slices.Sort(flags)
		out = append(out, subjectOf(read(t, file))+" "+strings.Join(flags, " "))
	}
	slices.Sort(out)
	return out
}

func localFiles(dir string) []string {
	in, _ := filepath.Glob(filepath.Join(dir, "new/*"))
	seen, _ := filepath.Glob(filepath.Join(dir, "cur/*"))
	return append(in, seen...)
}

// withSubject finds the file of a message.
func withSubject(t *testing.T, dir, subject string) string {
	t.Helper()
	for _, file := range localFiles(dir) {
		if subjectOf(read(t, file)) == subject {
			return file
		}
	}
	t.Fatalf("no message %q in %s", subject, dir)
	return ""
}

// flagLocally gives a message flag letters, as a mail program does.
func flagLocally(t *testing.T, dir, subject, letters string) {
	t.Helper()
	file := withSubject(t, dir, subject)
	base, _, _ := strings.Cut(filepath.Base(file), ":2,")
	if err := os.Rename(file, filepath.Join(dir, "cur", base+":2,"+letters)); err != nil {
		t.Fatal(err)
	}
}

func makeLocally(t *testing.T, dir, subject string) {
	t.Helper()
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "cur", subject+".local:2,S"), strings.ReplaceAll(letter("a@b.test", "c@d.test", subject), "\r\n", "\n"), 0o644)
}

// mirrored demands that a folder is the same on the server and here.
func mirrored(t *testing.T, stage string, c *imapConn, folder, dir string, want int) {
	t.Helper()
	far, near := c.shows(folder), localFolder(t, dir)
	if len(far) != want || !slices.Equal(far, near) {
		t.Errorf("%s: %s, want %d messages\non the server:\n%s\nhere:\n%s", stage, folder, want, strings.Join(far, "\n"), strings.Join(near, "\n"))
	}
}

// offlineimapConfig keeps the account in dir/mail.
func offlineimapConfig(t *testing.T, s *suite.Suite, dir string) string {
	return write(t, filepath.Join(dir, "offlineimaprc"), fmt.Sprintf(`[general]
accounts = a
metadata = %[1]s/metadata
ui = basic
[Account a]
localrepository = local
remoterepository = remote
[Repository local]
type = Maildir
localfolders = %[1]s/mail
[Repository remote]
type = IMAP
remotehost = localhost
remoteport = %[2]d
remoteuser = %[3]s
remotepass = %[4]s
ssl = yes
sslcacertfile = %[5]s
`, dir, s.Base+993, s.Accounts[0].Name, s.Accounts[0].Password, s.Path("etc/tls/cert.pem")), 0o600)
}

// offlineimap keeps a Maildir and our server the same, whoever made a message,
// a flag, a deletion or a folder; and what is the same it leaves alone.
func TestOfflineIMAPBothWays(t *testing.T) {
	need(t, "offlineimap")
	s := start(t, nil)
	c, dir := server(t, s), t.TempDir()
	c.put("INBOX", "one", "two", "three", "four", "five")
	config, inbox := offlineimapConfig(t, s, dir), filepath.Join(dir, "mail/INBOX")
	sync := func() string { return run(t, "", "offlineimap", "-c", config, "-o") }
	sync()
	mirrored(t, "all comes down", c, "INBOX", inbox, 5)

	flagLocally(t, inbox, "one", "FS")
	if err := os.Remove(withSubject(t, inbox, "two")); err != nil {
		t.Fatal(err)
	}
	makeLocally(t, inbox, "six")
	makeLocally(t, filepath.Join(dir, "mail/Here"), "seven")
	c.must("CREATE There")
	c.put("There", "eight")
	c.must("SELECT INBOX")
	c.must(`UID STORE 3 +FLAGS (\Answered \Seen $Work)`)
	c.must(`UID STORE 4 +FLAGS (\Deleted)`)
	c.must("UID EXPUNGE 4")
	c.put("INBOX", "nine")
	sync()
	mirrored(t, "both have changed", c, "INBOX", inbox, 5)
	mirrored(t, "a folder made here", c, "Here", filepath.Join(dir, "mail/Here"), 1)
	mirrored(t, "a folder made there", c, "There", filepath.Join(dir, "mail/There"), 1)
	want := []string{"five ", `nine `, `one \Flagged \Seen`, `six \Seen`, `three \Answered \Seen`}
	if got := c.shows("INBOX"); !slices.Equal(got, want) {
		t.Errorf("in the end:\n%s", strings.Join(got, "\n"))
	}
	if out := sync(); regexp.MustCompile(`(?i)copy|delet|flag|error|warn`).MatchString(out) {
		t.Errorf("there was nothing to do:\n%s", out)
	}
}

// mbsync's state pairs UIDs of both sides: it stands messages that go between
// its runs, on either side or both, and a server that is started anew.
func TestMbsyncAcrossExpunges(t *testing.T) {
	need(t, "mbsync")
	s := start(t, nil)
	c, dir := server(t, s), t.TempDir()
	var all []string
	for i := range 12 {
		all = append(all, "m"+strconv.Itoa(i))
	}
	c.put("INBOX", all...)
	config, inbox := mbsyncConfig(t, s, dir), filepath.Join(dir, "mail/INBOX")
	sync := func() string { return run(t, "", "mbsync", "-V", "-c", config, "all") }
	sync()
	mirrored(t, "all comes down", c, "INBOX", inbox, 12)

	for round, steps := range []struct {
		far       []string // commands with the folder selected
		gone      []string // removed here
		flags     map[string]string
		left      int
		startAnew bool
	}{
		{far: []string{`UID STORE 2,5,12 +FLAGS (\Deleted)`, "EXPUNGE"}, left: 9},
		{gone: []string{"m3", "m7"}, left: 7},
		{far: []string{`UID STORE 1,3 +FLAGS (\Deleted)`, "UID EXPUNGE 1:*"}, gone: []string{"m0", "m5"}, flags: map[string]string{"m6": "FS"}, left: 4, startAnew: true},
		{far: []string{`UID STORE 7 -FLAGS (\Flagged)`, `UID STORE 9:11 FLAGS (\Seen \Answered)`}, flags: map[string]string{"m6": "FRS"}, left: 4},
	} {
		c.must("SELECT INBOX")
		for _, command := range steps.far {
			c.must(command)
		}
		for _, subject := range steps.gone {
			flagLocally(t, inbox, subject, "ST")
		}
		for subject, letters := range steps.flags {
			flagLocally(t, inbox, subject, letters)
		}
		if steps.startAnew {
			s.Procs["imapd"].Stop()
			if err := s.Procs["imapd"].Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			c = server(t, s)
		}
		sync()
		mirrored(t, fmt.Sprintf("round %d", round), c, "INBOX", inbox, steps.left)
	}
	// New mail gets UIDs that were never used, or the state would mix them up.
	c.put("INBOX", "last")
	sync()
	mirrored(t, "new mail", c, "INBOX", inbox, 5)
	before := localFiles(inbox)
	if out := sync(); strings.Contains(out, "Warning") || strings.Contains(out, "Error") || !slices.Equal(before, localFiles(inbox)) {
		t.Errorf("there was nothing to do:\n%s", out)
	}
}
