package mtad

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// Names of a local domain go where the keys of local(8) say: also those that
// an alias leads to, and those that do not exist.
func TestMailboxTransports(t *testing.T) {
	w := newWorld(t)
	other := newSink(t, server.LMTP)
	other.service = serveUnix(t, filepath.Join(w.dir, "other"), other.engine.Serve)
	w.cfg.Domains.Local = []string{"host.example"}
	w.cfg.Rewrite.Origin = "host.example"
	w.cfg.Rewrite.Aliases = []string{"inline:{ {team = joe, \\ann, \\nobody} }"}
	w.cfg.MailboxMaps = []string{"inline:{ {ann = lmtp:unix:" + filepath.Join(w.dir, "other") + "} }"}
	w.cfg.LuserRelay = "lost+${local}@far.example"
	w.start()
	p := &player{t: t, w: w}
	script := "connect submit\nS: 220 *\nC: HELO x\nS: 250 *\n"
	for _, to := range []string{"joe", "ann", "nobody", "team"} {
		script += "C: MAIL FROM:<s@far.example>\nS: 250 *\nC: RCPT TO:<" + to + "@host.example>\nS: 250 *\nC: DATA\nS: 354 *\nC: hello\nC: .\nS: 250 *\n"
	}
	script += `lmtp joe@host.example: 2
far lost+nobody@far.example: 2
log: postfix/local: *: to=<nobody@host.example>, relay=local, *, status=sent (forwarded as *)`
	for _, line := range strings.Split(script, "\n") {
		if err := p.step(line); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, strings.Join(w.log.Classic(), "\n"))
		}
	}
	p.w.lmtp = other
	if err := p.step("lmtp ann@host.example: 2"); err != nil {
		t.Fatal(err)
	}
}
