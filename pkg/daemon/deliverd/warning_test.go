package deliverd

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A delivery that takes a user to a limit is told to the script, and one whose
// script is away is a delivery all the same.
func TestQuotaWarning(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "w")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_ = l.(*net.UnixListener).SetDeadline(time.Now().Add(time.Minute))
	b := newBench(t, nil, func(c *Config) {
		c.Quota.Rules = []string{"*:messages=4"}
		c.Quota.Warnings = []string{"messages=75% " + socket + ".none 75", "messages=50% " + socket + " 50 %u"}
	})
	c := b.dial(t)
	deliver := func() {
		t.Helper()
		for rcpt, err := range send(t, c, "Subject: x\r\n\r\nhello\r\n", "alice@example.org") {
			if err != nil {
				t.Fatalf("%s: %v", rcpt, err)
			}
		}
	}
	deliver()
	if got := b.log.Named("quota warning"); len(got) != 0 {
		t.Fatalf("too early: %v", got)
	}
	deliver()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	if want := "VERSION\tscript\t4\t0\nnoreply\n50\nalice@example.org\n\n"; err != nil || string(text) != want {
		t.Errorf("the script read %q, %v; want %q", text, err, want)
	}
	deliver()
	b.a.warner.Close()
	if warned, failed := b.log.Named("quota warning"), b.log.Named("quota warning did not reach its script"); len(warned) != 2 || len(failed) != 1 {
		t.Errorf("%d warnings, %d of them failed: %s", len(warned), len(failed), strings.Join(b.log.Classic(), "\n"))
	}
}
