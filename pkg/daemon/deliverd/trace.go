package deliverd

import (
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/proto/smtp/server"
)

// trace is what is put before a message, in Dovecot's order: Return-Path,
// Delivered-To when there is exactly one recipient, Received.
func (s *session) trace(tx *server.Transaction, host string, now time.Time) []byte {
	var b strings.Builder
	b.WriteString("Return-Path: " + tx.From.Path() + "\r\n")
	only := ""
	if len(tx.Rcpts) == 1 {
		only = tx.Rcpts[0].To.Path()
		b.WriteString("Delivered-To: " + only[1:len(only)-1] + "\r\n")
	}
	b.WriteString("Received: from " + token(s.conn.Helo))
	if peer := peerName(s.conn); peer != "local" {
		b.WriteString(" ([" + peer + "])")
	}
	b.WriteString("\r\n\tby " + host + " with " + s.conn.Protocol(tx.Options.UTF8))
	b.WriteString("\r\n\tid " + s.id(tx, 1))
	b.WriteString("\r\n\t(envelope-from " + tx.From.Path() + ")")
	if only != "" {
		b.WriteString("\r\n\tfor " + only)
	}
	b.WriteString("; " + now.Format("Mon, 02 Jan 2006 15:04:05 -0700") + "\r\n")
	return []byte(b.String())
}

// token keeps what a peer calls itself from breaking the header.
func token(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || strings.ContainsRune("()<>;\"\\", r) {
			return '?'
		}
		return r
	}, s)
	if s == "" {
		return "unknown"
	}
	return s
}

// facts reads the Message-ID and the queue id out of the beginning of a
// message. The queue id is the id of the topmost Received field: mtad's or
// Postfix's.
func facts(head []byte) (msgID, qid string) {
	h := message.ParseHeader(head, message.DefaultLimits())
	msgID = strings.TrimSpace(h.Get("Message-ID"))
	words := strings.Fields(h.Get("Received"))
	for i, w := range words {
		if w == "id" && i+1 < len(words) {
			return msgID, strings.TrimSuffix(words[i+1], ";")
		}
	}
	return msgID, ""
}
