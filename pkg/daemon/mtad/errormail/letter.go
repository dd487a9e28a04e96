package errormail

import (
	"fmt"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/mta/gate/header"
	"github.com/postcote/postcote/pkg/platform/addr"
)

// Side is which side of a session we are.
type Side string

// The sides.
const (
	Server Side = "server"
	Client Side = "client"
)

// letter is the message about a session with a peer, with CRLF line ends.
func letter(t *Transcript, hostname string, side Side, peer, id string, to addr.Address, now time.Time) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("Received: by %s (Postcote)\r\n\tid %s; %s", hostname, id, header.Date(now))
	line("Date: %s", header.Date(now))
	line("From: Mail Delivery System <MAILER-DAEMON@%s>", hostname)
	line("To: Postmaster %s", to.Path())
	line("Subject: Postcote SMTP %s: errors from %s", side, printable(peer))
	line("Auto-Submitted: auto-generated")
	line("Message-Id: <%s.%s@%s>", now.UTC().Format("20060102150405"), id, hostname)
	line("")
	line("Transcript of session follows.")
	line("")
	if t.dropped > 0 {
		line(" (%d lines before)", t.dropped)
	}
	for _, l := range t.lines {
		line("%s", l)
	}
	line("")
	line("")
	line("For other details, see the log of mail.")
	return b.String()
}
