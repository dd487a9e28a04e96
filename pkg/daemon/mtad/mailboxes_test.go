package mtad

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/daemon/mtad/routing"
	"github.com/postcote/postcote/pkg/platform/conf"
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
	w.cfg.Rewrite.Aliases = []string{"inline:{ {team = joe, \\ann, \\nobody, \\prog} }"}
	w.cfg.MailboxMaps = []string{"inline:{ {ann = lmtp:unix:" + filepath.Join(w.dir, "other") + "} {prog = post:all} }"}
	helper := &programs{}
	w.cfg.Transports = map[string]routing.Transport{"post": {
		Type: "pipe", Socket: serveUnix(t, filepath.Join(w.dir, "run"), helper.serve).path, Command: "post", TimeLimit: conf.Duration(30 * time.Second),
	}}
	w.cfg.LuserRelay = "lost+${local}@far.example"
	w.start()
	p := &player{t: t, w: w}
	script := "connect submit\nS: 220 *\nC: HELO x\nS: 250 *\n"
	for _, to := range []string{"joe", "ann", "nobody", "prog", "team"} {
		script += "C: MAIL FROM:<s@far.example>\nS: 250 *\nC: RCPT TO:<" + to + "@host.example>\nS: 250 *\nC: DATA\nS: 354 *\nC: hello\nC: .\nS: 250 *\n"
	}
	script += `lmtp joe@host.example: 2
far lost+nobody@far.example: 2
log: postfix/local: *: to=<nobody@host.example>, relay=local, *, status=sent (forwarded as *)`
	play(t, p, script)
	p.w.lmtp = other
	play(t, p, "lmtp ann@host.example: 2\nqueued 0")
	helper.mu.Lock()
	defer helper.mu.Unlock()
	want := []string{"post|all|s@far.example|prog@host.example|true", "post|all|s@far.example|prog@host.example|true"}
	if !slices.Equal(helper.asked, want) {
		t.Errorf("programs: %q, want %q", helper.asked, want)
	}
}
