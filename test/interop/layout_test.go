//go:build interop

package interop

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/postcote/postcote/pkg/store/mailbox"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/test/suite"
)

// dovecotHome is a home with a Dovecot in front of it; settings are those of
// mail_location and what follows it.
func dovecotHome(t *testing.T, settings string) (root string, client *imapclient.Client) {
	t.Helper()
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	run(t, "", "chmod", "755", dir)
	run(t, "", "install", "-d", "-o", "65534", "-g", "65534", "-m", "2770", dir+"/joe", dir+"/joe/Maildir")
	d := serveMail(t, []suite.Account{{Name: "joe", Password: "secret"}}, dir+"/%n", settings)
	client, err = imapclient.DialInsecure(fmt.Sprintf("127.0.0.1:%d", d.port), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.Login("joe", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	return dir + "/joe/Maildir", client
}

// theirFolders is what Dovecot lists, with UIDVALIDITY and UIDNEXT where there
// is something to select.
func theirFolders(t *testing.T, c *imapclient.Client) []string {
	t.Helper()
	var out []string
	all, err := c.List("", "*", nil).Collect()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if slices.Contains(f.Attrs, imap.MailboxAttrNoSelect) {
			continue
		}
		s, err := c.Status(f.Mailbox, &imap.StatusOptions{UIDNext: true, UIDValidity: true, NumMessages: true}).Wait()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s: %d messages, next %d, validity %d", f.Mailbox, *s.NumMessages, s.UIDNext, s.UIDValidity))
	}
	slices.Sort(out)
	return out
}

func ourFolders(t *testing.T, a *mailbox.Account) []string {
	t.Helper()
	var out []string
	all, err := a.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if !f.Exists {
			continue
		}
		s, err := a.Status(t.Context(), f.Name, false)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s: %d messages, next %d, validity %d", f.Name, s.Messages, s.UIDNext, s.UIDValidity))
	}
	slices.Sort(out)
	return out
}

func same(t *testing.T, when string, ours, theirs []string) {
	t.Helper()
	if !slices.Equal(ours, theirs) {
		t.Errorf("%s:\nwe      %s\nDovecot %s", when, strings.Join(ours, "\n        "), strings.Join(theirs, "\n        "))
	}
}

// A tree that Dovecot made with LAYOUT=fs is read, changed and given back.
func TestNestedLayoutOfDovecot(t *testing.T) {
	// Dovecot's index of folders does not notice what others do to nested ones.
	root, c := dovecotHome(t, "maildir:~/Maildir:LAYOUT=fs\nmailbox_list_index = no")
	for _, f := range []string{"Work", "Work/2026.Q1", "Täst/tief/x&y"} {
		if err := c.Create(f, nil).Wait(); err != nil {
			t.Fatal(err)
		}
		cmd := c.Append(f, int64(len("Subject: x\r\n\r\n")), nil)
		_, _ = cmd.Write([]byte("Subject: x\r\n\r\n"))
		_ = cmd.Close()
		if _, err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Subscribe("Work/2026.Q1").Wait(); err != nil {
		t.Fatal(err)
	}
	theirs := theirFolders(t, c)

	defer syscall.Umask(syscall.Umask(0o007))
	store, err := mailbox.NewStore(mailbox.Config{IndexRoot: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close(t.Context())
	a, err := store.Account(t.Context(), mailbox.AccountConfig{User: "joe", Maildir: root, Layout: maildir.Nested, Mode: mailbox.Shared})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	same(t, "as Dovecot made it", ourFolders(t, a), theirs)
	all, err := a.List(t.Context())
	if err != nil || !slices.ContainsFunc(all, func(f mailbox.Folder) bool { return f.Name == "Work/2026.Q1" && f.Subscribed }) {
		t.Errorf("%+v %v", all, err)
	}

	for _, err := range []error{
		a.Create(t.Context(), "Neu/für mich"),
		a.Subscribe(t.Context(), "Neu/für mich", true),
		a.Rename(t.Context(), "Work", "Arbeit"),
		a.Delete(t.Context(), "Täst/tief/x&y"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	same(t, "after our changes", ourFolders(t, a), theirFolders(t, c))
	subscribed, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	if err != nil || !slices.ContainsFunc(subscribed, func(d *imap.ListData) bool { return d.Mailbox == "Neu/für mich" }) {
		t.Errorf("subscriptions: %v %v", subscribed, err)
	}
	if err := c.Rename("Arbeit/2026.Q1", "Arbeit/alt/2026.Q1", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete("Arbeit").Wait(); err != nil {
		t.Fatal(err)
	}
	same(t, "after Dovecot's changes", ourFolders(t, a), theirFolders(t, c))
}

// Messages that Dovecot stored compressed are read, with their sizes.
func TestCompressedByDovecot(t *testing.T) {
	text := "Subject: packed\r\n\r\n" + strings.Repeat("A line with some words in it.\r\n", 5000)
	for _, kind := range []string{"gz", "bz2", "lz4", "zstd"} {
		t.Run(kind, func(t *testing.T) {
			root, c := dovecotHome(t, "maildir:~/Maildir\nmail_plugins = zlib\nplugin {\n  zlib_save = "+kind+"\n}")
			for _, body := range []string{text, "Subject: small\r\n\r\nx\r\n"} {
				cmd := c.Append("INBOX", int64(len(body)), nil)
				_, _ = cmd.Write([]byte(body))
				_ = cmd.Close()
				if _, err := cmd.Wait(); err != nil {
					t.Fatal(err)
				}
			}
			if files := messages(root); len(files) != 2 || strings.Contains(files[0]+files[1], "A line with some words in it.\nA line") {
				t.Fatalf("%d files, and Dovecot compresses nothing", len(files))
			}
			defer syscall.Umask(syscall.Umask(0o007))
			store, err := mailbox.NewStore(mailbox.Config{IndexRoot: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close(t.Context())
			a, err := store.Account(t.Context(), mailbox.AccountConfig{User: "joe", Maildir: root})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			m, err := a.Open(t.Context(), "INBOX")
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			f, err := m.OpenMessage(t.Context(), 1)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
			if err != nil || string(got) != strings.ReplaceAll(text, "\r\n", "\n") {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if x, err := m.Resolve(t.Context(), m.Snapshot(), 0); err != nil || x.VSize != int64(len(text)) {
				t.Errorf("%+v %v, want %d bytes", x, err, len(text))
			}
		})
	}
}
