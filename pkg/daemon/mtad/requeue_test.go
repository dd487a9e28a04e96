package mtad

import (
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// What is queued again has its addresses rewritten as they would be today: in
// the envelope, and in the header of this site's own mail. The sender's first
// recipient stays known.
func TestRequeueRewritesAnew(t *testing.T) {
	w := toolWorld(t)
	w.far.service.down()
	w.cfg.Queue.MinBackoff, w.cfg.Queue.MaxBackoff = conf.Duration(time.Hour), conf.Duration(time.Hour)
	w.start()
	w.admin()
	if got := w.tool("From: ann@ours.example\nTo: x@far.example\nSubject: once more\n\nhello\n", "sendmail", "-f", "ann@ours.example", "x@far.example"); got.code != 0 {
		t.Fatal(got)
	}
	eventually(t, "the message is deferred", func() bool { return w.queue.Stats().Deferred == 1 })
	cfg := w.cfg
	cfg.Rewrite.VirtualAlias = []string{"inline:{ {x@far.example = tom@ours.example, friend@far.example} }"}
	cfg.Rewrite.Sender = []string{"inline:{ {ann@ours.example = ann.smith@ours.example} }"}
	if err := w.daemon.reloaded(&cfg); err != nil {
		t.Fatal(err)
	}
	w.far.service.up()
	if got := w.tool("", "postsuper", "-r", "ALL"); got.code != 0 || !strings.Contains(got.errout, "Requeued: 1 message") {
		t.Fatalf("%+v", got)
	}
	for sink, to := range map[*sink]string{w.lmtp: "tom@ours.example", w.far: "friend@far.example"} {
		text := w.arrived(sink, to, "once more")
		if !strings.Contains(text, "From: ann.smith@ours.example\r\n") || !strings.Contains(text, "\r\n\r\nhello\r\n") {
			t.Errorf("%s got\n%s", to, text)
		}
		if got := sink.messages(to)[0]; got.from != "ann.smith@ours.example" {
			t.Errorf("from %s", got.from)
		}
	}
	if len(w.far.messages("x@far.example")) != 0 {
		t.Error("the old address got it, too")
	}
	if err := (&player{t: t, w: w}).step("log: postfix/smtp: *: to=<friend@far.example>, orig_to=<x@far.example>, *, status=sent*"); err != nil {
		t.Error(err)
	}
}
