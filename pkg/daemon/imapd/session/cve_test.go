package session

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/proto/handover"
)

// CVE-2019-7524: lengths in index files were believed. Whatever is in the files
// that imapd keeps of a mailbox, and in those that Dovecot left, the mail is
// served, and served right: flags are in the names of the files.
func TestHostileIndexFiles(t *testing.T) {
	dir := t.TempDir()
	change := func(c *Config) { c.IndexDir = dir + "/index" }
	ask := func(w *world) []string {
		w.auth.mu.Lock()
		w.auth.home = dir + "/home"
		w.auth.mu.Unlock()
		conn := w.dial(handover.IMAP, "alice")
		greeted(t, conn)
		return askIMAP(t, conn, "SELECT INBOX", "FETCH 1:* (UID FLAGS RFC822.SIZE ENVELOPE)", `SEARCH SUBJECT two`, "LOGOUT")
	}
	w := newWorld(t, change)
	w.auth.home = dir + "/home"
	for _, subject := range []string{"one", "two", "three"} {
		if err := w.deliver("alice", subject, false); err != nil {
			t.Fatal(err)
		}
	}
	right := ask(w)
	if err := w.end(); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(right, "* SEARCH 2") {
		t.Fatalf("%q", right)
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"all ones":      func(b []byte) []byte { return bytes.Repeat([]byte{0xff}, max(len(b), 4096)) },
		"cut":           func(b []byte) []byte { return b[:len(b)/2] },
		"empty":         func([]byte) []byte { return nil },
		"large lengths": largeLengths,
	} {
		t.Run(name, func(t *testing.T) {
			spoiled := spoilFiles(t, dir+"/index", spoil)
			for _, file := range []string{"dovecot.index", "dovecot.index.log", "dovecot.index.cache", "maildirsize"} {
				if err := os.WriteFile(filepath.Join(w.maildir("alice"), file), spoil(bytes.Repeat([]byte{7, 3, 120, 0}, 64)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if spoiled == 0 {
				t.Fatal("there are no index files")
			}
			w := newWorld(t, change)
			got := ask(w)
			if err := w.end(); err != nil {
				t.Error(err)
			}
			// What was recent is so once.
			if a, b := plain(right), plain(got); !slices.Equal(a, b) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(b, "\n"), strings.Join(a, "\n"))
			}
		})
	}
}

// largeLengths leaves the beginning, which says what the file is, and makes
// every number behind it large.
func largeLengths(b []byte) []byte {
	out := bytes.Clone(b)
	for i := 16; i < len(out); i += 4 {
		copy(out[i:], "\x7f\xff\xff\xff")
	}
	return out
}

// spoilFiles does so with every file below dir.
func spoilFiles(t *testing.T, dir string, spoil func([]byte) []byte) (n int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		return os.WriteFile(path, spoil(text), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// askIMAP sends commands and returns all untagged answers.
func askIMAP(t *testing.T, conn io.ReadWriter, commands ...string) (untagged []string) {
	t.Helper()
	r := bufio.NewReader(conn)
	for i, command := range commands {
		tag := fmt.Sprintf("t%d ", i)
		fmt.Fprintf(conn, "%s%s\r\n", tag, command)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(line, tag) {
				if !strings.HasPrefix(line, tag+"OK") {
					t.Fatalf("%s: %s", command, line)
				}
				break
			}
			untagged = append(untagged, strings.TrimRight(line, "\r\n"))
		}
	}
	return untagged
}

// plain leaves out what differs from one session to the next.
func plain(lines []string) []string {
	var out []string
	for _, l := range lines {
		if strings.Contains(l, " FETCH ") || strings.HasPrefix(l, "* SEARCH") || strings.Contains(l, "UIDVALIDITY") || strings.Contains(l, "EXISTS") {
			out = append(out, strings.ReplaceAll(strings.ReplaceAll(l, `\Recent`, ""), "( ", "("))
		}
	}
	return out
}
