package bounce

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue"
	"github.com/postcote/postcote/pkg/platform/addr"
)

// DefaultSizeLimit is the size above which only the header of a message comes
// back, whatever RET says. It is Postfix's bounce_size_limit.
const DefaultSizeLimit = 50000

// Composer writes notifications. It is safe for concurrent use and implements
// queue.Bouncer.
type Composer struct {
	Hostname   string // of this system, ASCII
	Origin     string // domain of MAILER-DAEMON; empty means Hostname
	Postmaster string // whom to ask for help; empty means postmaster@Hostname
	SizeLimit  int64  // 0 means DefaultSizeLimit
	Templates  Templates
	// Relays reports whether a transport hands mail to others, who may not
	// report further; nil: smtp does.
	Relays func(transport string) bool
}

// report is one notification being written.
type report struct {
	c    *Composer
	id   queue.ID
	n    *queue.Notice
	orig original

	utf8Status bool // some address is not ASCII, and the sender knows such
	utf8Text   bool
	mark       string // at the end of the boundary
}

// Compose writes the notification id about n to w, with CRLF line ends.
func (c *Composer) Compose(ctx context.Context, w io.Writer, id queue.ID, n *queue.Notice) (queue.Composed, error) {
	if err := ctx.Err(); err != nil {
		return queue.Composed{}, err
	}
	r := &report{c: c, id: id, n: n}
	if err := r.look(); err != nil {
		return queue.Composed{}, err
	}
	text := r.text()
	r.utf8Text = !ascii(text)
	out := bufio.NewWriterSize(w, 16<<10)
	r.header(out)
	r.part(out, "text/plain; charset="+pick(r.utf8Text, "utf-8", "us-ascii"), "Notification", r.utf8Text)
	out.WriteString(text)
	r.part(out, pick(r.utf8Status, "message/global-delivery-status", "message/delivery-status"), "Delivery report", r.utf8Status)
	out.WriteString(r.status())
	if n.Open != nil {
		r.part(out, r.orig.mediaType(), r.orig.description(n.Kind), r.orig.eightBit)
		if err := r.orig.copy(out); err != nil {
			return queue.Composed{}, err
		}
	}
	fmt.Fprintf(out, "\r\n--%s--\r\n", r.boundary())
	return queue.Composed{SMTPUTF8: n.To.NeedsUTF8(), EightBit: r.eightBit(), MessageID: r.messageID()}, out.Flush()
}

// look finds out which media types and encodings are needed.
func (r *report) look() error {
	limit := r.c.SizeLimit
	if limit <= 0 {
		limit = DefaultSizeLimit
	}
	env := r.n.Envelope
	r.orig = original{open: r.n.Open, limit: limit, utf8: env.SMTPUTF8}
	// Only failures bring the text back, unless the sender wants the header
	// alone (RFC 3461 sections 4.3 and 6.2).
	whole := r.n.Kind == queue.NoticeFailure || r.n.Kind == queue.NoticeDouble
	r.orig.headerOnly = !whole || env.Return == queue.ReturnHeaders || env.Size > limit
	if env.SMTPUTF8 || r.n.To.NeedsUTF8() {
		r.utf8Status = r.beyondASCII()
	}
	if r.n.Open == nil {
		return nil
	}
	r.orig.boundary = "--" + r.boundary()
	if err := r.orig.look(); err != nil || !r.orig.clash {
		return err
	}
	sum, err := r.orig.sum()
	r.mark = "." + sum
	return err
}

// beyondASCII reports whether some address is not ASCII.
func (r *report) beyondASCII() bool {
	found := r.n.Envelope.Sender.NeedsUTF8()
	for i := range r.n.Recipients {
		rc := &r.n.Recipients[i]
		found = found || rc.Addr.NeedsUTF8() || rc.Original.NeedsUTF8() || !ascii(rc.ORCPT)
	}
	return found
}

func (r *report) eightBit() bool {
	return r.utf8Text || r.utf8Status || r.orig.eightBit || r.n.To.NeedsUTF8()
}

func (r *report) header(w *bufio.Writer) {
	n := r.n
	fmt.Fprintf(w, "Received: by %s (Postcote)\r\n\tid %s; %s\r\n", r.c.Hostname, r.id, date(n.Now))
	fmt.Fprintf(w, "Date: %s\r\n", date(n.Now))
	fmt.Fprintf(w, "From: %s\r\n", r.from())
	fmt.Fprintf(w, "Subject: %s\r\n", r.subject())
	fmt.Fprintf(w, "To: %s\r\n", n.To.String())
	// RFC 3834 section 5: the postmaster's copy answers nothing.
	fmt.Fprintf(w, "Auto-Submitted: %s\r\n", pick(n.Kind.ForPostmaster(), "auto-generated", "auto-replied"))
	fmt.Fprintf(w, "MIME-Version: 1.0\r\n")
	fmt.Fprintf(w, "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"%s\"\r\n", r.boundary())
	if r.eightBit() {
		fmt.Fprintf(w, "Content-Transfer-Encoding: 8bit\r\n")
	}
	fmt.Fprintf(w, "Message-Id: %s\r\n\r\n", r.messageID())
	fmt.Fprintf(w, "This is a MIME-encapsulated message.\r\n")
}

func (r *report) messageID() string {
	return "<" + r.n.Now.UTC().Format("20060102150405") + "." + r.id.String() + "@" + r.c.Hostname + ">"
}

// boundary does not occur in the original: the id is newer than that, and
// where somebody has guessed it, there is a mark that depends on the original.
func (r *report) boundary() string {
	b := fmt.Sprintf("%s.%d/%s", r.id, r.n.Now.Unix(), r.c.Hostname)
	return b[:min(len(b), 70-len(r.mark))] + r.mark // RFC 2046 section 5.1.1
}

func (r *report) part(w *bufio.Writer, mediaType, description string, eightBit bool) {
	fmt.Fprintf(w, "\r\n--%s\r\nContent-Description: %s\r\nContent-Type: %s\r\n", r.boundary(), description, mediaType)
	if eightBit {
		fmt.Fprintf(w, "Content-Transfer-Encoding: 8bit\r\n")
	}
	w.WriteString("\r\n")
}

// from is the display name and address that a template may choose.
func (r *report) from() string {
	name, local, domain := "Mail Delivery System", "MAILER-DAEMON", cmp.Or(r.c.Origin, r.c.Hostname)
	if t := r.c.Templates.of(r.n.Kind); t != nil {
		name, local = t.from.Name, t.from.Mailbox
		if t.from.Host != "" {
			domain = t.from.Host
		}
	}
	a := addr.Address{Local: local, Domain: domain}
	if name == "" {
		return a.String()
	}
	return encoded(name) + " " + a.Path()
}

func (r *report) subject() string {
	k := r.n.Kind
	text := "Undelivered Mail Returned to Sender"
	switch {
	case k == queue.NoticeDelayCopy:
		text = "Postmaster Warning: Delayed Mail"
	case k.ForPostmaster():
		text = "Postmaster Copy: Undelivered Mail"
	case k == queue.NoticeDelay:
		text = "Delayed Mail (still being retried)"
	case k == queue.NoticeSuccess:
		text = "Successful Mail Delivery Report"
	case k == queue.NoticeVerify:
		text = "Mail Delivery Status Report"
	}
	if t := r.c.Templates.of(k); t != nil && !k.ForPostmaster() {
		text = cmp.Or(t.subject, text)
	} else if t != nil && t.postmaster != "" {
		text = t.postmaster
	}
	return encoded(text)
}

// encoded is text for a header of ASCII.
func encoded(text string) string {
	if ascii(text) {
		return text
	}
	return mime.QEncoding.Encode("utf-8", text)
}

// date is RFC 5322's form with a numeric zone, which RFC 3464 asks for.
func date(t time.Time) string { return t.Format("Mon, _2 Jan 2006 15:04:05 -0700 (MST)") }

// plainDate is the same without the comment, for the status part.
func plainDate(t time.Time) string { return t.Format("Mon, _2 Jan 2006 15:04:05 -0700") }

func pick(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// line makes text from elsewhere fit for one line.
func line(s string, utf8 bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f:
			return ' '
		case r >= 0x80 && !utf8:
			return '?'
		}
		return r
	}, s)
}

// has8bit reports whether b holds a byte beyond ASCII.
func has8bit(b []byte) bool {
	return bytes.ContainsFunc(b, func(r rune) bool { return r >= 0x80 })
}
