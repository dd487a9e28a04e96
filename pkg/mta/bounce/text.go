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
	if t := r.c.Templates.of(r.n.Kind); t != nil {
		b.WriteString(t.text(r))
		r.paragraphs(&b)
		return b.String()
	}
	fmt.Fprintf(&b, "This is the mail system at host %s.\r\n\r\n", r.c.Hostname)
	switch k := r.n.Kind; {
	case k == queue.NoticeDouble:
		b.WriteString("A notification could not be delivered to the sender that it is for.\r\n")
		b.WriteString(pick(r.orig.headerOnly, "Its header", "It") + " is attached.\r\n\r\n")
	case k == queue.NoticeFailureCopy:
		fmt.Fprintf(&b, "Mail of %s could not be delivered to the recipients\r\nlisted below. Its header is attached.\r\n\r\n", line(r.n.Envelope.Sender.Path(), true))
	case k == queue.NoticeDelayCopy:
		fmt.Fprintf(&b, "Mail of %s is delayed for the recipients listed\r\nbelow. Its header is attached.\r\n\r\n", line(r.n.Envelope.Sender.Path(), true))
	case k == queue.NoticeFailure:
		b.WriteString("Your message could not be delivered to the recipients listed below.\r\n")
		b.WriteString(pick(r.orig.headerOnly, "The header of the message", "The message") + " is attached.\r\n\r\n")
		r.help(&b)
	case k == queue.NoticeDelay:
		warning := "# THIS IS ONLY A WARNING. YOU NEED NOT SEND IT ONCE MORE. #"
		frame := strings.Repeat("#", len(warning))
		fmt.Fprintf(&b, "%s\r\n%s\r\n%s\r\n\r\n", frame, warning, frame)
		fmt.Fprintf(&b, "Your message has been waiting for %s for the recipients listed\r\nbelow. Delivery will be tried until %s.\r\n\r\n",
			span(r.n.Now.Sub(r.n.Envelope.Arrival)), date(r.n.Expires))
		r.help(&b)
	case k == queue.NoticeVerify:
		b.WriteString("You asked where mail for the addresses below would go. They were looked\r\nup, and the hosts behind them were asked; nothing was sent to them.\r\n\r\n")
	case r.askedFor():
		b.WriteString("You asked to be told: your message has been delivered to the recipients\r\nlisted below. ")
		b.WriteString("If it was passed on to a system that does not report further,\r\nyou may hear no more of it.\r\n\r\n")
	default:
		b.WriteString("You were told that your message was delayed. It has been delivered to the\r\nrecipients listed below.\r\n\r\n")
	}
	b.WriteString("                   The mail system\r\n")
	r.paragraphs(&b)
	return b.String()
}

// askedFor reports whether the sender asked for a report of success; if not,
// it was told of a delay that is over.
func (r *report) askedFor() bool {
	for i := range r.n.Recipients {
		if r.n.Recipients[i].Notify.Success() {
			return true
		}
	}
	return false
}

func (r *report) paragraphs(b *strings.Builder) {
	for i := range r.n.Recipients {
		b.WriteString("\r\n")
		b.WriteString(fold(r.paragraph(&r.n.Recipients[i])))
	}
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
