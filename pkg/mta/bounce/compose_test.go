package bounce

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"mime"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-message"
	"github.com/emersion/go-message/textproto"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

var update = flag.Bool("update", false, "write the golden files")

func mustParse(t testing.TB, s string) addr.Address {
	t.Helper()
	a, err := addr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func now() time.Time {
	return time.Date(2026, 3, 1, 12, 30, 0, 0, time.FixedZone("CET", 3600))
}

func composer() *Composer { return &Composer{Hostname: "mail.example.org"} }

// content stores a message in a queue and returns how to read it.
func content(t testing.TB, text string) func() (*queue.Content, error) {
	t.Helper()
	q, err := queue.Open(context.Background(), queue.Config{Settings: queue.DefaultSettings(), Dir: "/q", FS: disk.NewForgetful()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	m, err := q.Begin(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(m, text); err != nil {
		t.Fatal(err)
	}
	m.SetHeaders([]byte("Received: from client.example by mail.example.org\r\n"), 0)
	env := &queue.Envelope{Recipients: []queue.Recipient{{Addr: mustParse(t, "a@b.example")}}}
	if err := m.Commit(context.Background(), env); err != nil {
		t.Fatal(err)
	}
	return func() (*queue.Content, error) { return q.Open(m.ID()) }
}

const plain = "From: Ann <ann@example.com>\r\nTo: Bob <bob@example.net>\r\nSubject: Lunch\r\nMessage-ID: <1@example.com>\r\n\r\nAt noon?\r\n.\r\n-- \r\nAnn\r\n"

// notice is a failure of one recipient that tests change.
func notice(t *testing.T, text string) *queue.Notice {
	return noticeOf(t, text, content(t, text))
}

// noticeOf is notice about a text that a queue has already.
func noticeOf(t *testing.T, text string, open func() (*queue.Content, error)) *queue.Notice {
	id, err := queue.ParseID("4dj7nd4q3nzN3")
	if err != nil {
		t.Fatal(err)
	}
	env := &queue.Envelope{Sender: mustParse(t, "ann@example.com"), Arrival: now().Add(-26 * time.Hour), Size: int64(len(text)) + 50}
	return &queue.Notice{
		Kind: queue.NoticeFailure, To: env.Sender, ID: id, Envelope: env, Now: now(), Expires: now().Add(4 * 24 * time.Hour), Open: open,
		Recipients: []queue.NoticeRecipient{{
			Recipient: queue.Recipient{Addr: mustParse(t, "bob@example.net")},
			State: queue.State{
				Status: queue.Failed, Attempts: 1, Code: queue.Code{Class: 5, Subject: 1, Detail: 1},
				Reason:     "host mx.example.net[192.0.2.25] said: 550 5.1.1 <bob@example.net>: Recipient address rejected: User unknown (in reply to RCPT TO command)",
				Diagnostic: "550 5.1.1 <bob@example.net>: Recipient address rejected: User unknown", Remote: "mx.example.net", Last: now(),
			},
		}},
	}
}

func compose(t *testing.T, n *queue.Notice) (string, queue.Composed) {
	t.Helper()
	id, err := queue.ParseID("4dj7nd4q40z00")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	facts, err := composer().Compose(context.Background(), &b, id, n)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), facts
}

func TestGolden(t *testing.T) {
	umlaut := "From: Änn <änn@example.com>\r\nSubject: Grüße\r\n\r\nGrüße\r\n"
	for name, make := range map[string]func(t *testing.T) *queue.Notice{
		"failure": func(t *testing.T) *queue.Notice { return notice(t, plain) },
		"failure_dsn": func(t *testing.T) *queue.Notice {
			n := notice(t, plain)
			n.Envelope.EnvID, n.Envelope.Return = "QQ314159", queue.ReturnHeaders
			n.Recipients[0].ORCPT, n.Recipients[0].Original = "rfc822;Bob@Example.NET", mustParse(t, "team@example.org")
			second := n.Recipients[0]
			second.Recipient = queue.Recipient{Addr: mustParse(t, "carol@example.net"), Original: mustParse(t, "team@example.org")}
			second.State = queue.State{
				Status: queue.Expired, Attempts: 40, Code: queue.Code{Class: 4, Subject: 4, Detail: 1}, Last: now(),
				Reason: "connect to mx.example.net[192.0.2.25]:25: Connection timed out",
			}
			n.Recipients = append(n.Recipients, second)
			return n
		},
		"delay": func(t *testing.T) *queue.Notice {
			n := notice(t, plain)
			n.Kind = queue.NoticeDelay
			n.Recipients[0].State = queue.State{
				Status: queue.Deferred, Attempts: 9, Code: queue.Code{Class: 4, Subject: 4, Detail: 1}, Last: now(), Next: now().Add(time.Hour),
				Reason: "connect to mx.example.net[192.0.2.25]:25: Connection refused", Remote: "mx.example.net",
			}
			return n
		},
		"success": func(t *testing.T) *queue.Notice {
			n := notice(t, plain)
			n.Kind = queue.NoticeSuccess
			n.Recipients[0].State = queue.State{Status: queue.Delivered, Code: queue.Code{Class: 2}, Reason: "250 2.0.0 Ok: queued as 12345", Remote: "mx.example.net", Last: now()}
			n.Recipients[0].Transport, n.Recipients[0].Diagnostic = "smtp", "250 2.0.0 Ok: queued as 12345"
			second := n.Recipients[0]
			second.Addr, second.Transport, second.Reason = mustParse(t, "dora@example.org"), "lmtp", "250 2.1.5 Saved"
			third := second
			third.Addr, third.Transport, third.Reason = mustParse(t, "team@example.org"), queue.Expanded, "alias expanded"
			third.Remote = ""
			n.Recipients = append(n.Recipients, second, third)
			for i := range n.Recipients {
				n.Recipients[i].Notify = queue.NotifySuccess
			}
			return n
		},
		"delay_over": func(t *testing.T) *queue.Notice {
			n := notice(t, plain)
			n.Kind = queue.NoticeSuccess
			n.Recipients[0].State = queue.State{Status: queue.Delivered, Code: queue.Code{Class: 2}, Reason: "250 2.0.0 Ok", Remote: "mx.example.net", Last: now()}
			n.Recipients[0].Transport = "smtp"
			return n
		},
		"verify": func(t *testing.T) *queue.Notice {
			n := notice(t, plain)
			n.Kind, n.Open, n.ID = queue.NoticeVerify, nil, 0
			good, later := n.Recipients[0], n.Recipients[0]
			good.Addr, good.Status, good.Code = mustParse(t, "carol@example.net"), queue.Delivered, queue.Code{Class: 2, Subject: 1, Detail: 5}
			good.Reason = "delivery via mx.example.net[192.0.2.25]:25: 250 2.1.5 Ok"
			later.Addr, later.Status, later.Code = mustParse(t, "dora@example.net"), queue.Deferred, queue.Code{Class: 4, Subject: 4, Detail: 1}
			later.Reason, later.Diagnostic, later.Remote = "connect to mx.example.net[192.0.2.25]:25: Connection refused", "", ""
			n.Recipients = append(n.Recipients, good, later)
			return n
		},
		"postmaster_copy": func(t *testing.T) *queue.Notice {
			n := notice(t, plain)
			n.Kind, n.To = queue.NoticeFailureCopy, mustParse(t, "postmaster@example.org")
			return n
		},
		"double": func(t *testing.T) *queue.Notice {
			n := notice(t, plain)
			n.Kind, n.To, n.Envelope.Sender = queue.NoticeDouble, mustParse(t, "postmaster@example.org"), addr.Address{}
			return n
		},
		"utf8": func(t *testing.T) *queue.Notice {
			n := notice(t, umlaut)
			n.Envelope.SMTPUTF8, n.Envelope.Sender = true, mustParse(t, "änn@bücher.example")
			n.To = n.Envelope.Sender
			n.Recipients[0].Addr, n.Recipients[0].ORCPT = mustParse(t, "böb@example.net"), "utf-8;böb@example.net"
			n.Recipients[0].Reason, n.Recipients[0].Diagnostic = "host mx said: 550 Böb gibt es nicht", "550 Böb gibt es nicht"
			return n
		},
		"utf8_headers": func(t *testing.T) *queue.Notice {
			n := notice(t, umlaut)
			n.Envelope.SMTPUTF8, n.Envelope.Return = true, queue.ReturnHeaders
			return n
		},
		"ascii_sender": func(t *testing.T) *queue.Notice { // RFC 6533 section 3: the 7-bit form for who sent no SMTPUTF8
			n := notice(t, plain)
			n.Recipients[0].Addr, n.Recipients[0].ORCPT = mustParse(t, "böb@bücher.example"), "utf-8;bö b@example.net"
			n.Recipients[0].Original = mustParse(t, "böb@example.net")
			n.Recipients[0].Diagnostic = "550 Böb gibt es nicht"
			return n
		},
		"8bit": func(t *testing.T) *queue.Notice {
			n := notice(t, "Subject: plain\r\n\r\nGr\xfc\xdfe in Latin-1\r\n")
			n.Recipients[0].Diagnostic = "550 gibt’s nicht"
			return n
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, facts := compose(t, make(t))
			checkReport(t, got, facts)
			file := filepath.Join("testdata", name+".eml")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s (go test -update rewrites it):\n%s", file, got)
			}
		})
	}
}

// checkReport reads a notification with another parser and holds it against
// the rules that every notification keeps.
func checkReport(t *testing.T, text string, facts queue.Composed) []*textproto.Header {
	t.Helper()
	for i, l := range strings.SplitAfter(text, "\r\n") {
		if len(l) > 1000 || strings.ContainsAny(strings.TrimSuffix(l, "\r\n"), "\r\n") {
			t.Errorf("line %d is %d bytes long or ends badly: %.80q", i+1, len(l), l)
		}
	}
	e, err := message.Read(strings.NewReader(text))
	if err != nil && !message.IsUnknownCharset(err) {
		t.Fatalf("not a message: %v", err)
	}
	typ, params, err := e.Header.ContentType()
	if err != nil || typ != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Errorf("content type %q %v, %v", typ, params, err)
	}
	if auto := e.Header.Get("Auto-Submitted"); auto != "auto-replied" && auto != "auto-generated" {
		t.Errorf("Auto-Submitted: %q", auto)
	}
	head, _, _ := strings.Cut(text, "\r\n\r\n")
	if !facts.SMTPUTF8 && has8bit([]byte(head)) {
		t.Errorf("header beyond ASCII without SMTPUTF8:\n%s", head)
	}
	if !facts.EightBit && has8bit([]byte(text)) {
		t.Error("8-bit text is not declared")
	}
	mr := e.MultipartReader()
	var kinds []string
	var groups []*textproto.Header
	for {
		p, err := mr.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil && !message.IsUnknownCharset(err) {
			t.Fatalf("part %d: %v", len(kinds), err)
		}
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		kinds = append(kinds, kind)
		body, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(kind, "delivery-status") {
			groups = statusGroups(t, string(body))
			if kind == "message/delivery-status" && has8bit(body) {
				t.Errorf("status beyond ASCII:\n%s", body)
			}
		}
	}
	parts := 3
	if strings.Contains(text, "Subject: Mail Delivery Status Report") {
		parts = 2 // there is no message to return
	}
	if len(kinds) != parts || kinds[0] != "text/plain" || len(groups) < 2 {
		t.Fatalf("parts %v, %d groups of fields", kinds, len(groups))
	}
	if !strings.HasPrefix(groups[0].Get("Reporting-MTA"), "dns;") {
		t.Errorf("per-message fields: %v", groups[0])
	}
	for _, g := range groups[1:] {
		// RFC 3464 section 2.3.3: which actions there are; the class of the
		// status goes with the action. A probe has words of Postfix's.
		actions := map[string]string{"failed": "54", "delayed": "4", "delivered": "2", "relayed": "2", "expanded": "2"}
		if parts == 2 {
			actions = map[string]string{"undeliverable": "54", "deliverable": "2"}
		}
		classes := actions[g.Get("Action")]
		if !strings.Contains(g.Get("Final-Recipient"), ";") || classes == "" {
			t.Errorf("per-recipient fields: %v", g)
		}
		code := g.Get("Status")
		if _, ok := queue.ParseCode(code); !ok || !strings.Contains(classes, code[:1]) {
			t.Errorf("Action: %s, Status: %q", g.Get("Action"), code)
		}
		for _, name := range []string{"Last-Attempt-Date", "Will-Retry-Until"} {
			if v := g.Get(name); v != "" {
				if _, err := mail.ParseDate(v); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	return groups
}

func statusGroups(t *testing.T, body string) (list []*textproto.Header) {
	t.Helper()
	for _, block := range strings.Split(strings.TrimSuffix(body, "\r\n"), "\r\n\r\n") {
		h, err := textproto.ReadHeader(bufio.NewReader(strings.NewReader(block + "\r\n\r\n")))
		if err != nil {
			t.Fatalf("fields %q: %v", block, err)
		}
		list = append(list, &h)
	}
	return list
}

func TestWhatComesBack(t *testing.T) {
	big := plain + strings.Repeat("A line of the body that is not short.\r\n", 2000)
	for _, c := range []struct {
		name   string
		text   string
		ret    queue.Return
		kind   queue.NoticeKind
		has    string // media type
		isFull bool
	}{
		{"nothing said", plain, queue.ReturnUnset, queue.NoticeFailure, "message/rfc822", true},
		{"RET=FULL", plain, queue.ReturnFull, queue.NoticeFailure, "message/rfc822", true},
		{"RET=HDRS", plain, queue.ReturnHeaders, queue.NoticeFailure, "text/rfc822-headers", false},
		{"RET=FULL, large", big, queue.ReturnFull, queue.NoticeFailure, "text/rfc822-headers", false},
		{"RET=FULL, delay", plain, queue.ReturnFull, queue.NoticeDelay, "text/rfc822-headers", false},
		{"RET=FULL, success", plain, queue.ReturnFull, queue.NoticeSuccess, "text/rfc822-headers", false},
	} {
		n := notice(t, c.text)
		n.Envelope.Return, n.Kind = c.ret, c.kind
		got, _ := compose(t, n)
		if !strings.Contains(got, "Content-Type: "+c.has+"\r\n") || strings.Contains(got, "At noon?") != c.isFull || !strings.Contains(got, "Subject: Lunch") {
			t.Errorf("%s: want %s, whole %v; got\n%s", c.name, c.has, c.isFull, got)
		}
		if !strings.Contains(got, "Received: from client.example by mail.example.org\r\n") {
			t.Errorf("%s: added headers are missing", c.name)
		}
	}
}

// Text that came from a server must not become fields or parts of the report.
func TestHostileText(t *testing.T) {
	n := notice(t, plain)
	evil := "550 x\r\nAction: delivered\r\n\r\n--4dj7nd4q40z00.1772364600/mail.example.org\r\nContent-Type: text/html\r\n\r\n<b>"
	n.Recipients[0].Reason, n.Recipients[0].Diagnostic, n.Recipients[0].Remote = evil, evil, "mx\r\nX: y"
	n.Recipients[0].ORCPT, n.Envelope.EnvID = "rfc822;a\r\nBcc: b", "e\r\n\r\nx"
	n.Recipients[0].Addr = addr.Address{Local: "a b\" <x>", Domain: "example.net"}
	got, facts := compose(t, n)
	groups := checkReport(t, got, facts)
	if len(groups) != 2 || groups[1].Get("Action") != "failed" || groups[1].Has("Bcc") || groups[1].Has("X") {
		t.Errorf("fields: %v", groups)
	}
	long := notice(t, plain)
	long.Recipients[0].Reason = strings.Repeat("x", 3000)
	got, facts = compose(t, long)
	checkReport(t, got, facts)
}

// A message that cannot be read any more is reported without it.
func TestOriginalIsDamaged(t *testing.T) {
	n := notice(t, plain)
	n.Open = func() (*queue.Content, error) { return nil, fail.New(fail.Corrupt, "gone") }
	got, facts := compose(t, n)
	checkReport(t, got, facts)
	if !strings.Contains(got, "can no longer be read") {
		t.Errorf("report:\n%s", got)
	}
	n.Open = func() (*queue.Content, error) { return nil, fail.New(fail.Temporary, "busy") }
	if _, err := composer().Compose(context.Background(), io.Discard, 1, n); !fail.Is(err, fail.Temporary) {
		t.Errorf("a disk that does not answer: %v, want the error", err)
	}
}

func FuzzCompose(f *testing.F) {
	f.Add("550 no", "mx.example", "rfc822;a@b", "id", "bob")
	f.Add("550-a\r\n550 b: c\n\nd", "mx\r\nX: y", "utf-8;\\x{E9}@b", "a b+", `"a b"`)
	f.Add("\xff\x00é", "[192.0.2.1]", ";", "\r\n\r\n--x", "é")
	open := content(f, plain)
	f.Fuzz(func(t *testing.T, reason, remote, orcpt, envid, local string) {
		n := noticeOf(t, plain, open)
		st := &n.Recipients[0].State
		st.Reason, st.Diagnostic, st.Remote = reason, reason, remote
		st.Clean()
		n.Recipients[0].ORCPT, n.Envelope.EnvID = orcpt, envid
		if a, err := addr.Parse(local + "@example.net"); err == nil {
			n.Recipients[0].Addr = a
		}
		got, facts := compose(t, n)
		if g := checkReport(t, got, facts); len(g) != 2 {
			t.Fatalf("%d groups of fields", len(g))
		}
	})
}

// Who guesses the boundary of the notification about a message, and writes it
// into the message, ends no part: there is another boundary then.
func TestBoundaryGuessed(t *testing.T) {
	guess := "--4dj7nd4q40z00.1772364600/mail.example.org"
	n := notice(t, plain+guess+"\r\nContent-Type: text/html\r\n\r\n<b>\r\n"+guess+"--\r\n")
	got, facts := compose(t, n)
	checkReport(t, got, facts)
	if !strings.Contains(got, "\r\n"+guess+"\r\nContent-Type: text/html\r\n") {
		t.Errorf("the message is another:\n%s", got)
	}
}

// A message that was damaged besides is reported without it.
func TestBoundaryGuessedInDamage(t *testing.T) {
	n := notice(t, plain+"--4dj7nd4q40z00.1772364600/mail.example.org\r\n")
	whole, opened := n.Open, 0
	n.Open = func() (*queue.Content, error) {
		if opened++; opened > 1 {
			return nil, fail.New(fail.Corrupt, "gone")
		}
		return whole()
	}
	got, facts := compose(t, n)
	checkReport(t, got, facts)
	if !strings.Contains(got, "can no longer be read") {
		t.Errorf("report:\n%s", got)
	}
}

// RFC 3461 section 6.3 (b): a name that is no full domain is not of type "dns".
func TestBareHostname(t *testing.T) {
	c := composer()
	c.Hostname = "laptop"
	var b bytes.Buffer
	if _, err := c.Compose(context.Background(), &b, 1, notice(t, plain)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\r\nReporting-MTA: x-local-hostname; laptop\r\n") {
		t.Errorf("report:\n%s", b.String())
	}
}

// The sender of notifications is at myorigin, as with Postfix.
func TestOrigin(t *testing.T) {
	c := composer()
	c.Origin = "example.org"
	var b bytes.Buffer
	if _, err := c.Compose(context.Background(), &b, 1, notice(t, plain)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "\r\nFrom: Mail Delivery System <MAILER-DAEMON@example.org>\r\n") {
		t.Errorf("report:\n%s", b.String())
	}
}
