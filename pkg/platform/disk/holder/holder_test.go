package holder

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sleeper is a process of somebody else that lives until the test ends.
func sleeper(t *testing.T) int {
	t.Helper()
	c := exec.Command("sleep", "600")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c.Process.Pid
}

func ended(t *testing.T) int {
	t.Helper()
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

// textOf is what the process would write.
func textOf(t *testing.T, pid int) string {
	t.Helper()
	_, rest, _ := strings.Cut(Self(), ":")
	if start, ok := startOf(strconv.Itoa(pid)); ok {
		rest = rest[:strings.LastIndex(rest, " ")+1] + strconv.FormatUint(start, 10) + "\n"
	}
	return strconv.Itoa(pid) + ":" + rest
}

func TestOf(t *testing.T) {
	if !strings.Contains(Self(), "\x00") {
		t.Skip("this system does not tell who a process is")
	}
	live, dead := sleeper(t), ended(t)
	host, _ := os.Hostname()
	dovecot := func(pid int) string { return strconv.Itoa(pid) + ":" + host }
	change := func(text, old, by string) string { return strings.Replace(text, old, by, 1) }
	now := time.Now()
	for _, c := range []struct {
		name, text string
		touched    time.Time
		want       State
	}{
		{"this process", Self(), now, Here},
		{"another that lives", textOf(t, live), now, Lives},
		{"another that lives and has long not touched it", textOf(t, live), now.Add(-time.Hour), Lives},
		{"one that ended", textOf(t, dead), now, Gone},
		{"one whose number another has now", change(textOf(t, live), "\n", "1\n"), now, Gone},
		{"one whose number we have now", change(Self(), "\n", "1\n"), now, Gone},
		{"one that ended, of another host", change(textOf(t, dead), ":", ":x"), now, Unknown},
		{"one that ended, of another machine", change(textOf(t, dead), "\x00", "\x00x"), now, Unknown},
		{"one that ended, of another container", change(textOf(t, dead), "[", "[1"), now, Unknown},
		{"one that lives, of another container", change(textOf(t, live), "[", "[1"), now, Unknown},
		{"Dovecot's that lives", dovecot(live), now, Lives},
		{"Dovecot's that lives, by a version that ends the line", dovecot(live) + "\n", now, Lives},
		{"Dovecot's that ended, or is of another container", dovecot(dead), now, Unknown},
		{"Dovecot's whose number another has now", dovecot(live), now.Add(-time.Hour), Unknown},
		{"Dovecot's of another host", dovecot(live) + "x", now, Unknown},
		{"Dovecot's with our number", dovecot(os.Getpid()), now, Unknown},
		{"nobody", "", now, Unknown},
		{"a UID list", "3 V1 N1 G0\n1 :a\n", now, Unknown},
		{"a group of processes", change(textOf(t, dead), strconv.Itoa(dead), "-1"), now, Unknown},
		{"no number", "x:" + host, now, Unknown},
		{"a start that is none", change(textOf(t, dead), "\n", "x\n"), now, Unknown},
		{"something missing", "1:" + host + "\x00a b", now, Unknown},
	} {
		if got := Of([]byte(c.text), c.touched); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// Dovecot takes what stands before the NUL octet, and compares it with the name
// of the host; it reads 511 octets.
func TestSelfIsDovecots(t *testing.T) {
	text := Self()
	host, _ := os.Hostname()
	if owner, _, _ := strings.Cut(text, "\x00"); owner != strconv.Itoa(os.Getpid())+":"+host {
		t.Errorf("%q", text)
	}
	if len(text) > MaxText-(64-min(len(host), 64)) {
		t.Errorf("%d octets are too many for a long name", len(text))
	}
}

func FuzzOf(f *testing.F) {
	f.Add([]byte(Self()))
	f.Add([]byte("1:host"))
	f.Add([]byte("3 V1 N1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s := Of(text, time.Now()); s == Here && !bytes.HasPrefix(text, []byte(strconv.Itoa(os.Getpid()))) {
			t.Errorf("%q is of this process", text)
		}
	})
}
