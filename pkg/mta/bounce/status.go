package bounce

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
)

// status is the part for programs (RFC 3464 section 2, RFC 6533 section 4.1).
func (r *report) status() string {
	var b strings.Builder
	env := r.n.Envelope
	r.field(&b, "Reporting-MTA", "dns; "+r.c.Hostname)
	if env.EnvID != "" {
		r.field(&b, "Original-Envelope-Id", env.EnvID)
	}
	if r.n.ID != 0 {
		r.field(&b, "X-Postcote-Queue-ID", r.n.ID.String())
	}
	if !env.Sender.Null() {
		r.field(&b, "X-Postcote-Sender", typed(env.Sender))
	}
	r.field(&b, "Arrival-Date", plainDate(env.Arrival))
	for i := range r.n.Recipients {
		b.WriteString("\r\n")
		r.recipient(&b, &r.n.Recipients[i])
	}
	return b.String()
}

func (r *report) recipient(b *strings.Builder, rc *queue.NoticeRecipient) {
	switch {
	case rc.ORCPT != "":
		r.field(b, "Original-Recipient", r.orcpt(rc.ORCPT))
	case !rc.Original.Null():
		r.field(b, "Original-Recipient", typed(rc.Original))
	}
	r.field(b, "Final-Recipient", typed(rc.Addr))
	r.field(b, "Action", r.action(rc))
	r.field(b, "Status", statusCode(rc))
	if rc.Remote != "" {
		r.field(b, "Remote-MTA", "dns; "+rc.Remote)
	}
	switch {
	case r.n.Kind == queue.NoticeSuccess, r.n.Kind == queue.NoticeVerify && rc.Status == queue.Delivered: // the field is for what went wrong
	case rc.Diagnostic != "":
		r.field(b, "Diagnostic-Code", "smtp; "+rc.Diagnostic)
	case rc.Reason != "":
		r.field(b, "Diagnostic-Code", "x-postcote; "+rc.Reason)
	}
	if !rc.Last.IsZero() {
		r.field(b, "Last-Attempt-Date", plainDate(rc.Last.In(r.n.Now.Location())))
	}
	if r.n.Kind.Delay() {
		r.field(b, "Will-Retry-Until", plainDate(r.n.Expires))
	}
}

// field writes one field, folded below RFC 5322's 998 bytes.
func (r *report) field(b *strings.Builder, name, value string) {
	b.WriteString(fold(name + ": " + line(value, r.utf8Status)))
}

func (r *report) action(rc *queue.NoticeRecipient) string {
	switch {
	case r.n.Kind == queue.NoticeVerify:
		return verified(rc.Status)
	case r.n.Kind.Delay():
		return "delayed"
	case r.n.Kind.Failure():
		return "failed"
	case rc.Transport == queue.Expanded:
		return "expanded" // RFC 3461 section 5.2.7.3 (c)
	case r.c.relays(rc.Transport):
		return "relayed" // to a host that does not promise to report (RFC 3461 section 5.2.2)
	}
	return "delivered"
}

func (c *Composer) relays(transport string) bool {
	if c.Relays == nil {
		return transport == "smtp"
	}
	return c.Relays(transport)
}

// verified is Postfix's word for what a probe found.
func verified(s queue.Status) string {
	switch s {
	case queue.Delivered:
		return "deliverable"
	case queue.Failed:
		return "undeliverable"
	}
	return "delayed"
}

// statusCode is the code of the last attempt; what expired keeps its 4.x.x
// (RFC 3464 section 2.3.3).
func statusCode(rc *queue.NoticeRecipient) string {
	if c := rc.Code.String(); c != "" {
		return c
	}
	switch rc.Status {
	case queue.Delivered:
		return "2.0.0"
	case queue.Failed:
		return "5.0.0"
	}
	return "4.4.7" // delivery time expired (RFC 3463)
}

// typed is an address with its type.
func typed(a addr.Address) string {
	if a.NeedsUTF8() {
		return "utf-8; " + a.String()
	}
	return "rfc822; " + a.String()
}

// orcpt is the sender's own spelling. Escapes of the type utf-8 are undone
// where the field may hold UTF-8 (RFC 6533 section 3).
func (r *report) orcpt(s string) string {
	kind, address, ok := strings.Cut(s, ";")
	if !ok {
		return "rfc822; " + s
	}
	if r.utf8Status && strings.EqualFold(kind, "utf-8") {
		address = unitext(address)
	}
	return strings.TrimSpace(kind) + "; " + strings.TrimSpace(address)
}

// unitext replaces "\x{HEX}" by the character; what is malformed stays.
func unitext(s string) string {
	var b strings.Builder
	for s != "" {
		at := strings.Index(s, `\x{`)
		if at < 0 {
			break
		}
		b.WriteString(s[:at])
		s = s[at:]
		end := strings.IndexByte(s, '}')
		var v uint64
		err := strconv.ErrSyntax
		if end >= 5 && end <= 9 {
			v, err = strconv.ParseUint(s[3:end], 16, 32)
		}
		if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
			b.WriteString(s[:3])
			s = s[3:]
			continue
		}
		b.WriteRune(rune(v))
		s = s[end+1:]
	}
	return b.String() + s
}

// span says how long something took, in words.
func span(d time.Duration) string {
	for _, u := range []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / u.d); n >= 2 || n == 1 && u.name == "minute" {
			return fmt.Sprintf("%d %s%s", n, u.name, pick(n == 1, "", "s"))
		}
	}
	return "a short time"
}
