package quota

import (
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/obs"
)

// script is the socket of a script service: the texts it was given.
type script struct {
	path string
	got  chan string
}

func newScript(t *testing.T) *script {
	s := &script{path: filepath.Join(t.TempDir(), "w"), got: make(chan string, 100)}
	l, err := net.Listen("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			text, _ := io.ReadAll(conn)
			conn.Close()
			s.got <- string(text)
		}
	}()
	return s
}

func parse(t *testing.T, texts ...string) []Warning {
	t.Helper()
	ws, err := ParseWarnings(texts)
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

func TestScriptProtocol(t *testing.T) {
	s := newScript(t)
	for _, c := range []struct{ args, user, want string }{
		{"95 %u", "alice@example.org", "VERSION\tscript\t4\t0\nnoreply\n95\nalice@example.org\n\n"},
		{"", "alice", "VERSION\tscript\t4\t0\nnoreply\n\n"},
		{"%n %d", "alice", "VERSION\tscript\t4\t0\nnoreply\nalice\n\n"},
		{"%u x", "a\nb\tc\rd\x00e\x01f", "VERSION\tscript\t4\t0\nnoreply\na\x01nb\x01tc\x01rd\x010e\x011f\nx\n\n"},
	} {
		w := parse(t, "95% "+s.path+" "+c.args)[0]
		if err := tell(t.Context(), c.user, w); err != nil {
			t.Errorf("%s: %v", c.args, err)
			continue
		}
		if got := <-s.got; got != c.want {
			t.Errorf("%s for %q: %q, want %q", c.args, c.user, got, c.want)
		}
	}
	if err := tell(t.Context(), "alice", parse(t, "95% "+s.path+" %d 95")[0]); err == nil {
		t.Error("an empty argument before others was told")
	}
}

// Every warning is in the log; one that reaches nobody costs one line more.
func TestWarnerLogs(t *testing.T) {
	log, rec := obs.Capture()
	s := newScript(t)
	w := NewWarner(log)
	w.warn("alice", parse(t, "95% "+s.path+" 95")[0], "bytes=1 -> 2 over limit 2")
	<-s.got
	w.warn("bob", parse(t, "95%")[0], "why")
	w.warn("carol", parse(t, "95% "+s.path+".none")[0], "why")
	if _, err := rec.Wait(t.Context(), "quota warning did not reach its script"); err != nil {
		t.Fatal(err)
	}
	for range tellAtOnce { // as if as many were under way
		w.slots <- struct{}{}
	}
	w.warn("dave", parse(t, "95% "+s.path)[0], "why")
	for range tellAtOnce {
		<-w.slots
	}
	w.Close()
	w.warn("erin", parse(t, "95% "+s.path)[0], "why")
	if n := len(rec.Named("quota warning")); n != 5 {
		t.Errorf("%d warnings in the log", n)
	}
	if n := len(rec.Named("quota warning did not reach its script")); n != 3 {
		t.Errorf("%d failures in the log, want those of carol, dave and erin", n)
	}
	want := "quota(alice): Executing warning: 95% " + s.path + " 95 (because bytes=1 -> 2 over limit 2)"
	if got := rec.Classic(); !slices.Contains(got, want) {
		t.Errorf("%s\nis not among\n%s", want, strings.Join(got, "\n"))
	}
}

// The meter warns when a change takes what the file says past a limit.
func TestMeterWarns(t *testing.T) {
	a := newAccount(t, "*:bytes=1000", "Spam:ignore")
	log, rec := obs.Capture()
	a.o.Warnings, a.o.Warner, a.o.User = parse(t, "95%", "80%", "-80%"), NewWarner(log), "alice"
	defer a.o.Warner.Close()
	change := func(folder string, bytes int64, want string) {
		t.Helper()
		seen := len(rec.Events())
		if err := a.Changed(folder, bytes, 1); err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, e := range rec.Events()[seen:] {
			got += e.(warned).what.Text + " " + e.(warned).why
		}
		if got != want {
			t.Errorf("%d bytes in %s: %q, want %q", bytes, folder, got, want)
		}
	}
	change("INBOX", 900, "") // nothing is known yet
	a.write("1000S\n700 1\n")
	change("INBOX", 99, "")
	change("Spam", 500, "")
	change("Trash", 1, "80% bytes=799 -> 800 over limit 800")
	change("INBOX", 100, "")
	change("INBOX", 100, "95% bytes=900 -> 1000 over limit 950")
	change("INBOX", -500, "-80% bytes=1000 -> 500 below limit 800")
	a.write("1000S\n700 1\n" + strings.Repeat("0 0\n", maxFile/4))
	change("INBOX", 100, "80% bytes=700 -> 800 over limit 800") // long, to be counted by the next who asks
	a.write("1000S\n700 1\n" + strings.Repeat("0 0\n", maxGlance/4))
	change("INBOX", 100, "")
	a.write("9000S\n700 1\n") // of other rules
	change("INBOX", 100, "")
}
