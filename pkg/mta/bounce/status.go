package bounce

import (
	"fmt"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// status is the part for programs (RFC 3464 section 2, RFC 6533 section 4.1).
func (r *report) status() string {
	var b strings.Builder
	env := r.n.Envelope
	r.field(&b, "Reporting-MTA", reportingMTA(r.c.Hostname))
	if env.EnvID != "" {
		r.field(&b, "Original-Envelope-Id", env.EnvID)
	}
	if r.n.ID != 0 {
		r.field(&b, "X-Postcote-Queue-ID", r.n.ID.String())
	}
	if !env.Sender.Null() {
		r.field(&b, "X-Postcote-Sender", r.typed(env.Sender))
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
		r.field(b, "Original-Recipient", strings.Replace(r.typed(rc.Original), " ", "", 1))
	}
	r.field(b, "Final-Recipient", r.typed(rc.Addr))
	r.field(b, "Action", r.action(rc))
	r.field(b, "Status", statusCode(rc))
	if rc.Remote != "" {
		r.field(b, "Remote-MTA", "dns; "+rc.Remote)
	}
	switch {
	case !r.diagnosed(rc):
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

// reportingMTA is a name with its type: "dns" is for full names only (RFC 3461
// section 6.3 (b)).
func reportingMTA(hostname string) string {
	return pick(strings.Contains(hostname, "."), "dns; ", "x-local-hostname; ") + hostname
}

// diagnosed reports whether a recipient has a Diagnostic-Code: what went wrong
// (RFC 3464 section 2.3.6), and all that a host said to which mail was relayed
// (RFC 3461 section 6.3 (i)).
func (r *report) diagnosed(rc *queue.NoticeRecipient) bool {
	if rc.Status != queue.Delivered {
		return true
	}
	return r.n.Kind == queue.NoticeSuccess && rc.Diagnostic != "" && r.action(rc) == "relayed"
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

// verified is Postfix's word for what a probe found. What cannot be said now
// has a status of class 4.
func verified(s queue.Status) string {
	return pick(s == queue.Delivered, "deliverable", "undeliverable")
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
func (r *report) typed(a addr.Address) string {
	if !a.NeedsUTF8() {
		return "rfc822; " + a.String()
	}
	return "utf-8; " + r.utf8(a.String())
}

// utf8 is an address of the type utf-8 in the form for this report: characters
// stand for themselves, or are written \x{HEX} where all must be ASCII
// (RFC 6533 section 3).
func (r *report) utf8(address string) string {
	if r.utf8Status || ascii(address) {
		return address
	}
	return string(wire.AppendUnitext(nil, address))
}

// orcpt is the sender's own spelling, whose type is kept as well.
func (r *report) orcpt(s string) string {
	kind, address, ok := strings.Cut(s, ";")
	switch {
	case !ok:
		return "rfc822;" + s
	case strings.EqualFold(kind, "utf-8"):
		address = r.utf8(address)
	}
	return kind + ";" + address
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
