package mtad

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/gate/rate"
	"github.com/postcote/postcote/pkg/mta/remote"
	"github.com/postcote/postcote/pkg/mta/route"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// sample is an event and its classic line.
type sample struct {
	event obs.Event
	want  string
}

// samples has each kind of event at least once.
func samples() []sample {
	c := client{Service: "smtpd", Conn: "c1", Name: "mail.far.example", IP: netip.MustParseAddr("192.0.2.1")}
	six := client{Service: "submission/smtpd", Name: "unknown", IP: netip.MustParseAddr("2001:db8::1")}
	local := client{Service: "submit", Local: true, UID: 33}
	from := addr.Address{Local: "s", Domain: "far.example"}
	to := addr.Address{Local: "r", Domain: "ours.example"}
	d := delays{130 * time.Millisecond, 20 * time.Millisecond, 1100 * time.Millisecond, 12 * time.Second}
	return []sample{
		{clientConnected{c}, "postfix/smtpd: connect from mail.far.example[192.0.2.1]"},
		{clientConnected{six}, "postfix/submission/smtpd: connect from unknown[2001:db8::1]"},
		{
			clientDisconnected{client: c, Summary: "ehlo=1 auth=0/1 mail=1 rcpt=1 data=1 quit=1 commands=5/6"},
			"postfix/smtpd: disconnect from mail.far.example[192.0.2.1] ehlo=1 auth=0/1 mail=1 rcpt=1 data=1 quit=1 commands=5/6",
		},
		{tlsFailed{c, errors.New("bad record")}, "postfix/smtpd: SSL_accept error from mail.far.example[192.0.2.1]: bad record"},
		{tlsFailed{c, io.EOF}, "postfix/smtpd: SSL_accept error from mail.far.example[192.0.2.1]: lost connection"},
		{authAborted{c, "LOGIN"}, "postfix/smtpd: warning: mail.far.example[192.0.2.1]: SASL LOGIN authentication aborted"},
		{
			rejected{client: c, Stage: "RCPT", Reply: "550 5.1.1 x", Sender: &from, Rcpt: &to, Proto: "ESMTP", Helo: `a> to=<x> "q"(c);y\z@`},
			"postfix/smtpd: NOQUEUE: reject: RCPT from mail.far.example[192.0.2.1]: 550 5.1.1 x; from=<s@far.example> to=<r@ours.example> proto=ESMTP helo=<a??to=?x???q??c??y?z?>",
		},
		{foreignProtocol{c, "GET / HTTP/1.1"}, "postfix/smtpd: warning: non-SMTP command from mail.far.example[192.0.2.1]: GET / HTTP/1.1"},
		{connectionRefused{c, netx.TooManyFromPeer, 50}, "postfix/smtpd: warning: Connection concurrency limit exceeded: 51 from mail.far.example[192.0.2.1] for service smtp"},
		{connectionRefused{six, netx.TooManyFromPeer, 3}, "postfix/submission/smtpd: warning: Connection concurrency limit exceeded: 4 from unknown[2001:db8::1] for service submission"},
		{connectionRefused{c, netx.TooMany, 100}, `postfix/master: warning: service "smtp" has reached its process limit "100": new clients may experience noticeable delays`},
		{
			tlsEstablished{c, "TLSv1.3 TLS_AES_256_GCM_SHA384", "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)", "Trusted", "mx.ours.example"},
			"postfix/smtpd: Trusted TLS connection established from mail.far.example[192.0.2.1] to mx.ours.example: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
		},
		{
			tlsEstablished{c, "TLSv1.3 TLS_AES_256_GCM_SHA384", "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)", "", ""},
			"postfix/smtpd: Anonymous TLS connection established from mail.far.example[192.0.2.1]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)",
		},
		{nameMismatch{c, "fake.example"}, "postfix/smtpd: warning: hostname fake.example does not resolve to address 192.0.2.1"},
		{
			rejected{client: c, Stage: "RCPT", Reply: "554 5.7.1 <r@ours.example>: Relay access denied", Sender: &from, Rcpt: &to, Proto: "ESMTP", Helo: "far.example"},
			"postfix/smtpd: NOQUEUE: reject: RCPT from mail.far.example[192.0.2.1]: 554 5.7.1 <r@ours.example>: Relay access denied; from=<s@far.example> to=<r@ours.example> proto=ESMTP helo=<far.example>",
		},
		{
			rejected{client: c, QID: "4A", Stage: "END-OF-MESSAGE", Reply: "554 5.4.6 Error: too many hops", Sender: &addr.Address{}, Proto: "SMTP"},
			"postfix/smtpd: 4A: reject: END-OF-MESSAGE from mail.far.example[192.0.2.1]: 554 5.4.6 Error: too many hops; from=<> proto=SMTP",
		},
		{messageStarted{client: c, QID: "4A"}, "postfix/smtpd: 4A: client=mail.far.example[192.0.2.1]"},
		{
			messageStarted{client: six, QID: "4A", source: source{Method: "PLAIN", User: "joe"}},
			"postfix/submission/smtpd: 4A: client=unknown[2001:db8::1], sasl_method=PLAIN, sasl_username=joe",
		},
		{
			messageStarted{client: six, QID: "4A", source: source{Method: "PLAIN", User: "joe", As: "ann@far.example", For: &server.Forward{Ident: "4B"}}},
			"postfix/submission/smtpd: 4A: client=unknown[2001:db8::1], sasl_method=PLAIN, sasl_username=joe, sasl_sender=ann@far.example, orig_queue_id=4B",
		},
		{messageStarted{client: local, QID: "4A", Sender: from}, "postfix/pickup: 4A: uid=33 from=<s@far.example>"},
		{&messageAccepted{client: c, QID: "4A", MsgID: "<x@y>"}, "postfix/cleanup: 4A: message-id=<x@y>"},
		{messageResent{c, "4A", "<r@y>"}, "postfix/cleanup: 4A: resent-message-id=<r@y>"},
		{&messageAccepted{client: c, QID: "4A"}, "postfix/cleanup: 4A: message-id=<>"},
		{
			authFailed{client: c, Mech: "LOGIN", Reason: "(reason unavailable)", User: "joe"},
			"postfix/smtpd: warning: mail.far.example[192.0.2.1]: SASL LOGIN authentication failed: (reason unavailable), sasl_username=joe",
		},
		{
			authFailed{client: c, Mech: "PLAIN", Reason: "Connection lost to authentication server", Cause: errors.New("x")},
			"postfix/smtpd: warning: mail.far.example[192.0.2.1]: SASL PLAIN authentication failed: Connection lost to authentication server, sasl_username=(unavailable)",
		},
		{sessionBroken{c, "lost connection", "DATA (1234 bytes)", ""}, "postfix/smtpd: lost connection after DATA (1234 bytes) from mail.far.example[192.0.2.1]"},
		{sessionBroken{c, "timeout", "CONNECT", ""}, "postfix/smtpd: timeout after CONNECT from mail.far.example[192.0.2.1]"},
		{sessionBroken{c, "too many errors", "RCPT", ""}, "postfix/smtpd: too many errors after RCPT from mail.far.example[192.0.2.1]"},
		{sessionBroken{c, "improper command pipelining", "EHLO", "DATA"}, "postfix/smtpd: improper command pipelining after EHLO from mail.far.example[192.0.2.1]: DATA"},
		{&messageActive{"4A", from, 1234, 2}, "postfix/qmgr: 4A: from=<s@far.example>, size=1234, nrcpt=2 (queue active)"},
		{&messageActive{"4A", addr.Address{}, 1, 1}, "postfix/qmgr: 4A: from=<>, size=1, nrcpt=1 (queue active)"},
		{
			handshaken{remote.Handshake{Hop: route.Hop{Transport: route.SMTP}, Peer: "mx.far.example[192.0.2.9]:25", Trust: func() string { return "Trusted" }, State: tls.ConnectionState{Version: tls.VersionTLS12, CipherSuite: tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}, "smtp"},
			"postfix/smtp: Trusted TLS connection established to mx.far.example[192.0.2.9]:25: TLSv1.2 with cipher ECDHE-RSA-AES128-GCM-SHA256 (128/128 bits)",
		},
		{
			handshaken{remote.Handshake{Hop: route.Hop{Transport: route.LMTP, Name: "bulk"}, Peer: "h[192.0.2.9]:24", Err: errors.New("no such version")}, "bulk/lmtp"},
			"postfix/bulk/lmtp: SSL_connect error to h[192.0.2.9]:24: no such version",
		},
		{
			&attempted{QID: "4A", Rcpt: to, Transport: "smtp", Program: "smtp", Relay: "mx.far.example[192.0.2.9]:25", Delays: d, Digits: 2, DSN: "2.0.0", Status: "sent", Text: "250 2.0.0 Ok: queued as X"},
			"postfix/smtp: 4A: to=<r@ours.example>, relay=mx.far.example[192.0.2.9]:25, delay=13, delays=0.13/0.02/1.1/12, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as X)",
		},
		{
			&attempted{QID: "4A", Rcpt: to, Orig: "postmaster", Transport: "lmtp", Program: "bulk/lmtp", Relay: "none", ConnUse: 3, DSN: "4.4.1", Status: "deferred", Text: "connect to h[/run/x]: Connection refused", TLS: "TLSv1.3"},
			"postfix/bulk/lmtp: 4A: to=<r@ours.example>, orig_to=<postmaster>, relay=none, conn_use=3, delay=0, delays=0/0/0/0, dsn=4.4.1, status=deferred (connect to h[/run/x]: Connection refused)",
		},
		{transportFailed{"prog", errors.New("/run/prog: no such file or directory"), true}, "postfix/qmgr: warning: connect to transport private/prog: /run/prog: no such file or directory"},
		{transportFailed{"prog", errors.New("malformed response"), false}, "postfix/qmgr: warning: private/prog socket: malformed response"},
		{transportRests{"prog"}, "postfix/qmgr: warning: transport prog failure -- see a previous warning/fatal/panic logfile record for the problem description"},
		{etrnRefused{c, "far.example"}, "postfix/smtpd: warning: reject: ETRN far.example... from mail.far.example[192.0.2.1]"},
		{proxyRefused{c, errors.New("no header")}, "postfix/smtpd: warning: haproxy read: no header"},
		{commandRefused{c, "Illegal address syntax", server.Reply{Code: 501, Text: "x"}}, "postfix/smtpd: warning: Illegal address syntax"},
		{rateExceeded{c, rate.Messages, 3}, "postfix/smtpd: warning: Message delivery request rate limit exceeded: 3 from mail.far.example[192.0.2.1] for service smtp"},
		{noticeDiscarded{"4A"}, "postfix/bounce: warning: 4A: undeliverable postmaster notification discarded"},
		{
			rejected{client: c, QID: "4A", Stage: "DATA", Reply: "451 4.3.0 x", Sender: &from, Proto: "ESMTP", Helo: "h", Cause: errors.New("x")},
			"postfix/smtpd: 4A: reject: DATA from mail.far.example[192.0.2.1]: 451 4.3.0 x; from=<s@far.example> proto=ESMTP helo=<h>",
		},
		{
			&messageAccepted{client: c, QID: "4A", MsgID: "<x@y>", ResentID: "<r@y>", Sender: from, Size: 5, Rcpts: 1, source: source{Method: "PLAIN", User: "joe", As: "ann@far.example", For: &server.Forward{Ident: "4B", Addr: "192.0.2.7"}}},
			"postfix/cleanup: 4A: message-id=<x@y>",
		},
		{
			messageStarted{client: c, QID: "4A", Sender: from, source: source{For: &server.Forward{Ident: "4B", Name: "h.example", Addr: "192.0.2.7"}}},
			"postfix/smtpd: 4A: client=mail.far.example[192.0.2.1], orig_queue_id=4B, orig_client=h.example[192.0.2.7]",
		},
		{messageRemoved{"4A"}, "postfix/qmgr: 4A: removed"},
		{messageChanged{"4A", "placed on hold"}, "postfix/postsuper: 4A: placed on hold"},
		{messageChanged{"4A", "released from hold"}, "postfix/postsuper: 4A: released from hold"},
		{messageChanged{"4A", "requeued"}, "postfix/postsuper: 4A: requeued"},
		{messageChanged{"4A", "removed"}, "postfix/postsuper: 4A: removed"},
		{messageChanged{"4A", "expired"}, "postfix/postsuper: 4A: expired"},
		{messageExpired{QID: "4A", Sender: from}, "postfix/qmgr: 4A: from=<s@far.example>, status=expired, returned to sender"},
		{messageExpired{QID: "4A", Sender: from, Forced: true}, "postfix/qmgr: 4A: from=<s@far.example>, status=force-expired, returned to sender"},
		{messageMade{"4B", "<4B@mx>"}, "postfix/cleanup: 4B: message-id=<4B@mx>"},
		{messageMade{"4B", ""}, "postfix/cleanup: 4B: message-id=<>"},
		{hostUnreachable{"smtp", "smtp", "mx.far.example[192.0.2.9]:25", "Connection timed out"}, "postfix/smtp: connect to mx.far.example[192.0.2.9]:25: Connection timed out"},
		{notified{"4A", "non-delivery", "4B", "<4B@mx>", false}, "postfix/bounce: 4A: sender non-delivery notification: 4B"},
		{notified{"4A", "delay", "4B", "<4B@mx>", false}, "postfix/bounce: 4A: sender delay notification: 4B"},
		{notified{"4A", "delay", "4B", "<4B@mx>", true}, "postfix/bounce: 4A: postmaster delay notification: 4B"},
		{notified{"4A", "delivery status", "4B", "<4B@mx>", false}, "postfix/bounce: 4A: sender delivery status notification: 4B"},
	}
}

// The classic renderings are a contract with fail2ban, pflogsumm and the
// exporters that parse Postfix's log.
func TestClassicLines(t *testing.T) {
	for _, tc := range samples() {
		tag, text := tc.event.Classic()
		if got := tag + ": " + text; got != tc.want {
			t.Errorf("%T:\ngot  %s\nwant %s", tc.event, got, tc.want)
		}
		if tc.event.Event() == "" || len(tc.event.Attrs()) == 0 {
			t.Errorf("%T has no phrase or no facts", tc.event)
		}
		if f, ok := tc.event.(obs.Frequent); ok {
			before := slog.Int("before", 1)
			if got := f.AppendAttrs([]slog.Attr{before}); !reflect.DeepEqual(got, append([]slog.Attr{before}, tc.event.Attrs()...)) {
				t.Errorf("%T appends %v", tc.event, got)
			}
		}
	}
}

// The line of an accepted message has all that the one of its beginning has,
// which JSON leaves out.
func TestAcceptedRepeatsStarted(t *testing.T) {
	c := client{Service: "smtpd", Conn: "c", Name: "mail.far.example", IP: netip.MustParseAddr("192.0.2.1")}
	from := addr.Address{Local: "s", Domain: "far.example"}
	by := source{Method: "PLAIN", User: "joe", As: "ann@far.example", For: &server.Forward{Ident: "4B", Addr: "192.0.2.7"}}
	accepted := (&messageAccepted{client: c, QID: "4A", Sender: from, source: by}).Attrs()
	for _, a := range (messageStarted{client: c, QID: "4A", Sender: from, source: by}).Attrs() {
		if !slices.ContainsFunc(accepted, a.Equal) {
			t.Errorf("%v is missing", a)
		}
	}
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", -time.Second: "0", 4 * time.Millisecond: "0", 6 * time.Millisecond: "0.01", 20 * time.Millisecond: "0.02",
		131 * time.Millisecond: "0.13", 996 * time.Millisecond: "1", 1040 * time.Millisecond: "1", 1060 * time.Millisecond: "1.1",
		9960 * time.Millisecond: "10", 12400 * time.Millisecond: "12", time.Hour: "3600",
	} {
		if got := seconds(d, 2); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

// delay_logging_resolution_limit.
func TestSecondsOfOtherResolutions(t *testing.T) {
	for _, c := range []struct {
		d      time.Duration
		digits int
		want   string
	}{
		{1234567 * time.Nanosecond, 0, "0"},
		{1234567 * time.Nanosecond, 2, "0"},
		{1234567 * time.Nanosecond, 3, "0.001"},
		{1234567 * time.Nanosecond, 6, "0.0012"},
		{123456 * time.Microsecond, 6, "0.12"},
		{123456 * time.Microsecond, 1, "0.1"},
		{1500 * time.Millisecond, 0, "2"},
		{12 * time.Second, 6, "12"},
	} {
		if got := seconds(c.d, c.digits); got != c.want {
			t.Errorf("%v with %d digits: got %s, want %s", c.d, c.digits, got, c.want)
		}
	}
}

// The manual's table of events is complete and right: their names in JSON, the
// keys that each may have beside time, level and daemon, and the programs that
// a classic line is of.
func TestEventsOfTheManual(t *testing.T) {
	type row struct{ keys, tags map[string]bool }
	seen := map[string]row{}
	for _, s := range samples() {
		r, ok := seen[s.event.Event()]
		if !ok {
			r = row{map[string]bool{}, map[string]bool{}}
			seen[s.event.Event()] = r
		}
		for _, a := range s.event.Attrs() {
			r.keys[a.Key] = true
		}
		if tag, _ := s.event.Classic(); tag != "" {
			r.tags[tag[strings.LastIndexByte(tag, '/')+1:]] = true
		}
	}
	words := func(set map[string]bool) string {
		return "`" + strings.Join(slices.Sorted(maps.Keys(set)), "` `") + "`"
	}
	var want strings.Builder
	for _, event := range slices.Sorted(maps.Keys(seen)) {
		fmt.Fprintf(&want, "| `%s` | %s | %s |\n", event, words(seen[event].keys), words(seen[event].tags))
	}
	page, err := os.ReadFile("../../../docs/mtad/logs.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "|---|---|---|\n"+want.String()+"\n") {
		t.Errorf("docs/mtad/logs.md must have the table\n%s", want.String())
	}
}
