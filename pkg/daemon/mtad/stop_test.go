package mtad

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// say sends a line and returns the next line of the server.
func say(t *testing.T, c net.Conn, r *bufio.Reader, line string) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if line != "" {
		fmt.Fprintf(c, "%s\r\n", line)
	}
	got, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("after %q: %v", line, err)
	}
	return strings.TrimRight(got, "\r\n")
}

// SIGTERM: an idle session hears 421, one that is sending a message may end
// it and is told that it was taken.
func TestStop(t *testing.T) {
	w := newWorld(t)
	w.start()
	idle, busy := w.connect("smtpd"), w.connect("smtpd")
	ri, rb := bufio.NewReader(idle), bufio.NewReader(busy)
	say(t, idle, ri, "")
	for _, line := range []string{"", "HELO c.example", "MAIL FROM:<s@c.example>", "RCPT TO:<joe@ours.example>", "DATA"} {
		say(t, busy, rb, line)
	}
	w.stop()
	if got := say(t, idle, ri, ""); !strings.HasPrefix(got, "421 4.3.2 ") {
		t.Errorf("idle session heard %q", got)
	}
	if got := say(t, busy, rb, "Subject: last\r\n\r\ntext\r\n."); !strings.HasPrefix(got, "250 2.0.0 Ok: queued as ") {
		t.Errorf("busy session heard %q", got)
	}
	if got := say(t, busy, rb, ""); !strings.HasPrefix(got, "421 4.3.2 ") {
		t.Errorf("busy session then heard %q", got)
	}
	w.stopMTA()
	w.start()
	eventually(t, "the message that was taken arrives", func() bool { return len(w.lmtp.messages("joe@ours.example")) == 1 })
}

// SIGHUP changes what later sessions go by, and ends none.
func TestReload(t *testing.T) {
	w := newWorld(t)
	w.start()
	before := w.connect("smtpd")
	rb := bufio.NewReader(before)
	say(t, before, rb, "")
	cfg := w.cfg
	cfg.Hostname = "renamed.example"
	cfg.Domains.Mailbox = append([]string{"new.example"}, cfg.Domains.Mailbox...)
	if err := w.daemon.reloaded(&cfg); err != nil {
		t.Fatal(err)
	}
	after := w.connect("smtpd")
	ra := bufio.NewReader(after)
	if got := say(t, after, ra, ""); !strings.HasPrefix(got, "220 renamed.example ") {
		t.Errorf("a new session hears %q", got)
	}
	for _, c := range []struct {
		conn net.Conn
		r    *bufio.Reader
		want string
	}{{before, rb, "554 5.7.1 "}, {after, ra, "250 2.1.5 "}} {
		say(t, c.conn, c.r, "HELO c.example")
		say(t, c.conn, c.r, "MAIL FROM:<s@c.example>")
		if got := say(t, c.conn, c.r, "RCPT TO:<joe@new.example>"); !strings.HasPrefix(got, c.want) {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	bad := cfg
	bad.RelayHost = "[x"
	if err := w.daemon.reloaded(&bad); err == nil {
		t.Error("a configuration that cannot work was taken over")
	}
	if got := w.daemon.state.Load().cfg.RelayHost; got != "" {
		t.Errorf("the old configuration is gone: relayhost %q", got)
	}
}
