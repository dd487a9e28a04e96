package mtad

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// Forwarded mail leaves with a sender of ours, and a bounce to that sender
// finds its way back.
func TestForwardedMailComesBack(t *testing.T) {
	w := newWorld(t)
	key := filepath.Join(w.dir, "srs")
	if err := os.WriteFile(key, []byte("a key for this test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.cfg.Rewrite.SRS.Domain, w.cfg.Rewrite.SRS.KeyFile = "srs.ours.example", conf.SecretFile(key)
	w.cfg.Rewrite.VirtualAlias = []string{"inline:{ {list@ours.example = joe@ours.example, friend@far.example} }"}
	w.start()
	p := &player{t: t, w: w}
	play := func(lines string) {
		t.Helper()
		for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
			if err := p.step(strings.TrimSpace(line)); err != nil {
				t.Fatalf("%s: %v\n%s", line, err, strings.Join(w.log.Classic(), "\n"))
			}
		}
	}
	play(`connect smtpd
S: 220 *
C: HELO client.example
S: 250 *
C: MAIL FROM:<s@far.example>
S: 250 *
C: RCPT TO:<list@ours.example>
S: 250 *
C: DATA
S: 354 *
C: hello
C: .
S: 250 *
far friend@far.example: 1
lmtp joe@ours.example: 1`)
	if got := w.lmtp.messages("joe@ours.example")[0].from; got != "s@far.example" {
		t.Errorf("a mailbox of ours sees %s", got)
	}
	from := w.far.messages("friend@far.example")[0].from
	if !strings.HasPrefix(from, "SRS0=") || !strings.HasSuffix(from, "=far.example=s@srs.ours.example") {
		t.Fatalf("the outside sees %s", from)
	}
	play(`C: MAIL FROM:<>
S: 250 *
C: RCPT TO:<` + strings.Replace(from, "=s@", "=x@", 1) + `>
S: 550 5.1.1 *: Recipient address rejected: User unknown in virtual alias table
C: RCPT TO:<` + from + `>
S: 250 *
C: DATA
S: 354 *
C: a bounce
C: .
S: 250 *
far s@far.example: 1
  has a bounce`)
}
