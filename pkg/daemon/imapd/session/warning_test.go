package session

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/handover"
)

// APPEND and COPY take a user to a limit, EXPUNGE below one.
func TestQuotaWarning(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "w")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_ = l.(*net.UnixListener).SetDeadline(time.Now().Add(time.Minute))
	w := newWorld(t, func(c *Config) {
		c.Quota.Rules = []string{"*:messages=4"}
		c.Quota.Warnings = []string{"messages=100% " + socket + " full %u", "messages=50% " + socket + " half %u", "-messages=100% " + socket + " below %u"}
	})
	conn := w.dial(handover.IMAP, "alice")
	greeted(t, conn)
	does := func(command, want string) {
		t.Helper()
		_, _ = io.WriteString(conn, "a1 "+command+"\r\n")
		for expect(t, conn, "")[0] != 'a' {
		}
		if want == "" {
			return
		}
		told, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer told.Close()
		text, err := io.ReadAll(told)
		if want := "VERSION\tscript\t4\t0\nnoreply\n" + want + "\nalice\n\n"; err != nil || string(text) != want {
			t.Errorf("%s: the script read %q, %v; want %q", command, text, err, want)
		}
	}
	const letter = "Subject: x\r\n\r\nhello\r\n"
	add := fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(letter), letter)
	does(add, "")
	does(add, "half")
	does("SELECT INBOX", "")
	does("COPY 1:2 Trash", "full")
	does(`STORE 1 +FLAGS.SILENT (\Deleted)`, "")
	does("EXPUNGE", "below")
	if n := len(w.logs.Named("quota warning")); n != 3 {
		t.Errorf("%d warnings in the log", n)
	}
}
