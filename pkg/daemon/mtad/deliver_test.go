package mtad

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// What the queue is told of a route comes back as the same hop.
func TestRouterAndHopAgree(t *testing.T) {
	cfg := Default()
	cfg.Hostname = "mx.ours.example"
	cfg.Domains.Mailbox, cfg.Domains.Tables = []string{"ours.example"}, nil
	cfg.Routes = map[string]string{"moved.example": "error:5.1.6 moved: see http://x", "inner.example": "smtp:[2001:db8::1]:26"}
	st, err := newState(cfg, nil, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{}
	d.state.Store(st)
	for _, domain := range []string{"ours.example", "far.example", "moved.example", "inner.example", "[192.0.2.1]"} {
		rcpt := addr.Address{Local: "r", Domain: domain}
		want, err := st.routes.Route(context.Background(), addr.Address{}, rcpt)
		if err != nil {
			t.Fatal(err)
		}
		got, err := router{d}.Route(context.Background(), nil, rcpt)
		if err != nil {
			t.Fatal(err)
		}
		if hop, err := route.ParseHop(got.Transport + ":" + got.NextHop); err != nil || hop != want.Hop {
			t.Errorf("%s: %+v became %+v, %v", domain, want.Hop, hop, err)
		}
	}
}

func TestRecipientOf(t *testing.T) {
	joe := addr.Address{Local: "joe", Domain: "ours.example"}
	for name, tc := range map[string]struct {
		in   queue.Recipient
		want smtp.RcptOptions
	}{
		"plain":       {queue.Recipient{Addr: joe}, smtp.RcptOptions{OriginalRecipientType: "rfc822", OriginalRecipient: "joe@ours.example"}},
		"never":       {queue.Recipient{Addr: joe, Notify: queue.NotifyNever}, smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyNever}, OriginalRecipientType: "rfc822", OriginalRecipient: "joe@ours.example"}},
		"two notices": {queue.Recipient{Addr: joe, Notify: queue.NotifyFailure | queue.NotifyDelay}, smtp.RcptOptions{Notify: []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed}, OriginalRecipientType: "rfc822", OriginalRecipient: "joe@ours.example"}},
		"orcpt":       {queue.Recipient{Addr: joe, ORCPT: "rfc822;j;oe@x.example"}, smtp.RcptOptions{OriginalRecipientType: "rfc822", OriginalRecipient: "j;oe@x.example"}},
		"resolved":    {queue.Recipient{Addr: joe, Original: addr.Address{Local: "postmaster"}}, smtp.RcptOptions{OriginalRecipientType: "rfc822", OriginalRecipient: "postmaster"}},
	} {
		if diff := cmp.Diff(tc.want, recipientOf(tc.in).Options); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if n := notifyOf(recipientOf(tc.in).Options.Notify); n != tc.in.Notify {
			t.Errorf("%s: NOTIFY %v does not come back: %v", name, tc.in.Notify, n)
		}
	}
}

func TestResultOf(t *testing.T) {
	for status, want := range map[remote.Status]queue.Status{
		remote.Delivered: queue.Delivered, remote.Bounced: queue.Failed, remote.Deferred: queue.Deferred,
	} {
		r := resultOf(remote.Outcome{Status: status, DSN: smtp.EnhancedCode{5, 1, 1}, DSNOffered: true})
		if r.Status != want || r.Code.String() != "5.1.1" || r.Relayed != (status == remote.Delivered) {
			t.Errorf("%v: %+v", status, r)
		}
	}
}

func TestRelayCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "relay")
	cfg := Default()
	cfg.Hostname, cfg.RelayHost = "mx.ours.example", "[smart.example]:587"
	cfg.Remote.RelayCredentials = conf.SecretFile(file)
	for text, ok := range map[string]bool{"joe:sec:ret\n": true, "joe": false, ":x": false, "joe:": false} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := newState(cfg, nil, time.Now)
		if (err == nil) != ok || err != nil && !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil {
			continue
		}
		for hop, want := range map[string]bool{"smtp:[smart.example]:587": true, "smtp:[smart.example]": false} {
			h, _ := route.ParseHop(hop)
			login, err := st.logins.For(context.Background(), addr.Address{}, h, h.Host)
			if err != nil || (login != nil) != want || want && (login.User != "joe" || login.Password != "sec:ret") {
				t.Errorf("%s: %v, %v", hop, login, err)
			}
		}
	}
}

// A host that does not understand a transcript of ours, either, is not told of
// again.
func TestNoTranscriptOfATranscript(t *testing.T) {
	t.Parallel()
	p := &player{t: t, w: newWorld(t)}
	play(t, p, `set {trusted_networks: [127.0.0.0/8], queue: {notify_classes: [protocol], error_notice_recipient: errors@far.example}, remote: {reuse: 0s}}
far says odd@far.example: 500 what
far says errors@far.example: 500 what
connect smtpd
S: 220 *
C: HELO client.example
S: 250 *
C: MAIL FROM:<>
S: 250 *
C: RCPT TO:<odd@far.example>
S: 250 *
C: DATA
S: 354 *
C: Subject: hello
C:
C: text
C: .
S: 250 *
log: postfix/smtp: *: to=<errors@far.example>, *, status=bounced (*)
queued 0`)
	sent := 0
	for _, line := range p.w.log.Classic() {
		if strings.Contains(line, "to=<errors@far.example>") {
			sent++
		}
	}
	if sent != 1 {
		t.Errorf("%d transcripts", sent)
	}
}
