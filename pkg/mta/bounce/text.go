package bounce

import (
	"fmt"
	"strings"

	"github.com/postcote/postcote/pkg/mta/queue"
)

// text is the part for people. Its form, a few sentences and then one
// paragraph "<address>: reason" for each recipient, is the one that readers
// and bounce parsers know from Postfix.
func (r *report) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "This is the mail system at host %s.\r\n\r\n", r.c.Hostname)
	switch r.n.Kind {
	case queue.NoticeFailure:
		b.WriteString("Your message could not be delivered to the recipients listed below.\r\n")
		b.WriteString(pick(r.orig.headerOnly, "The header of the message", "The message") + " is attached.\r\n\r\n")
		r.help(&b)
	case queue.NoticeDelay:
		warning := "# THIS IS ONLY A WARNING. YOU NEED NOT SEND IT ONCE MORE. #"
		frame := strings.Repeat("#", len(warning))
		fmt.Fprintf(&b, "%s\r\n%s\r\n%s\r\n\r\n", frame, warning, frame)
		fmt.Fprintf(&b, "Your message has been waiting for %s for the recipients listed\r\nbelow. Delivery will be tried until %s.\r\n\r\n",
			span(r.n.Now.Sub(r.n.Envelope.Arrival)), date(r.n.Expires))
		r.help(&b)
	case queue.NoticeSuccess:
		b.WriteString("You asked to be told: your message has been delivered to the recipients\r\nlisted below. ")
		b.WriteString("If it was passed on to a system that does not report further,\r\nyou may hear no more of it.\r\n\r\n")
	}
	b.WriteString("                   The mail system\r\n")
	for i := range r.n.Recipients {
		b.WriteString("\r\n")
		b.WriteString(fold(r.paragraph(&r.n.Recipients[i])))
	}
	return b.String()
}

func (r *report) help(b *strings.Builder) {
	who := r.c.Postmaster
	if who == "" {
		who = "postmaster@" + r.c.Hostname
	}
	fmt.Fprintf(b, "If you need help, please write to %s and\r\ninclude this report. Your own text in it can be left out.\r\n\r\n", who)
}

func (r *report) paragraph(rc *queue.NoticeRecipient) string {
	p := rc.Addr.Path()
	if !rc.Original.Null() && rc.Original != rc.Addr {
		p += " (expanded from " + rc.Original.Path() + ")"
	}
	reason := rc.Reason
	switch {
	case reason == "" && rc.Status == queue.Expired:
		reason = "given up before a delivery was tried"
	case reason == "":
		reason = "no reason was given"
	}
	if rc.Status == queue.Expired && rc.Reason != "" {
		reason = "message expired, last: " + reason
	}
	return line(p+": "+reason, true)
}

// maxWord keeps lines below the 998 bytes of RFC 5322 section 2.1.1.
const maxWord = 900

// fold breaks a paragraph into lines of at most 76 columns where it has
// spaces, with all but the first indented.
func fold(s string) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Fields(s) {
		word = word[:min(len(word), maxWord)]
		switch {
		case i == 0:
		case width+1+len(word) > 76:
			b.WriteString("\r\n   ")
			width = 3
			fallthrough
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	b.WriteString("\r\n")
	return b.String()
}
