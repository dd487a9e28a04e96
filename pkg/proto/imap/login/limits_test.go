package login

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"
)

// limits: what a stranger may send before a login, by the names under which
// operators know the bounds from Dovecot.
func TestLimits(t *testing.T) {
	id := func(pairs int, value string) string {
		return "a ID (" + strings.TrimSuffix(strings.Repeat(`"n" "`+value+`" `, pairs), " ") + ")\r\n"
	}
	for _, k := range []struct {
		name, send, answer string
		ends               bool
	}{
		{"two bad commands before login are borne", "a X\r\nb Y\r\nc NOOP\r\n", "c OK", false},
		{"the third bad command before login ends it", "a X\r\nb Y\r\nc Z\r\n", "* BYE Too many invalid IMAP commands.", true},
		{"a line of 8192 bytes", "a LOGIN x " + strings.Repeat("p", 8192) + "\r\n", "a BAD", false},
		{"a line without end", "a LOGIN x " + strings.Repeat("p", 1<<20), "* BYE Input buffer full, aborting.", true},
		{"a literal beyond the line", "a LOGIN {9000+}\r\n" + strings.Repeat("p", 9000) + " x\r\n", "a BAD", false},
		{"a tag of 126 bytes", strings.Repeat("t", 126) + " NOOP\r\n", strings.Repeat("t", 126) + " OK", false},
		{"a tag of 127 bytes", strings.Repeat("t", 127) + " NOOP\r\n", "BAD", false},
		{"30 pairs of ID", id(30, "v"), "a OK", false},
		{"31 pairs of ID", id(31, "v"), "a BAD", false},
		{"an ID value beyond 1024 bytes", id(1, strings.Repeat("v", 1025)), "a BAD", false},
		{"nesting", "a ID ((((((((((\r\n", "a BAD", false},
		{"a SASL answer beyond 8192 bytes", "a AUTHENTICATE PLAIN\r\n" + strings.Repeat("A", 9000) + "\r\n", "a BAD", false},
		{"a NUL", "a LOGIN alice \"sec\x00ret\"\r\n", "a BAD", false},
	} {
		t.Run(k.name, func(t *testing.T) {
			ours, theirs := pipe(t)
			defer theirs.Close()
			_ = theirs.SetDeadline(time.Now().Add(30 * time.Second))
			ended := make(chan Outcome, 1)
			go func() {
				ended <- New(ours, Options{Auth: asker{}, Greeting: "x", Secured: true}).Run(context.Background())
				_ = ours.Close()
			}()
			go func() {
				_, _ = io.WriteString(theirs, k.send)
				if !k.ends {
					_, _ = io.WriteString(theirs, "z LOGOUT\r\n")
				}
			}()
			out, _ := io.ReadAll(theirs)
			if !strings.Contains(string(out), k.answer) || strings.Contains(string(out), "z OK") == k.ends {
				t.Errorf("%.300q", out)
			}
			if o := <-ended; o.Success != nil || k.ends != (o.Reason == ReasonBadCommand) {
				t.Errorf("%+v", o)
			}
		})
	}
}

// limits: login timeout 3 min, auth wait 150 s, three bad commands.
func TestDefaultLimits(t *testing.T) {
	a, b := pipe(t)
	defer a.Close()
	defer b.Close()
	if o := New(a, Options{}).opt; o.LoginTimeout != 3*time.Minute || o.AuthTimeout != 150*time.Second || o.MaxBad != 3 {
		t.Errorf("%+v", o)
	}
}
