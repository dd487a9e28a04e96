package queuecmd

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// mailq writes the list as Postfix's mailq does with long queue ids.
type mailq struct {
	w     io.Writer
	count int
	bytes int64
}

const (
	mailqHead  = "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
	mailqFirst = "%-17s %8d %19.19s %s\n"
	mailqNext  = "%-17s %8s %-19s %s\n"
	mailqWidth = 76 // reasons end here at the earliest
)

func (m *mailq) add(l *Listed) error {
	sep := "\n"
	if m.count == 0 {
		sep = mailqHead
	}
	m.count++
	m.bytes += l.MessageSize
	mark := ""
	switch {
	case l.QueueName == "active":
		mark = "*"
	case l.QueueName == "hold":
		mark = "!"
	}
	if l.ForcedExpire {
		mark += "#"
	}
	when := time.Unix(l.ArrivalTime, 0).Format(time.ANSIC)
	if _, err := fmt.Fprintf(m.w, sep+mailqFirst, l.QueueID+mark, l.MessageSize, when, clean(l.Sender)); err != nil {
		return err
	}
	reason := ""
	for _, r := range l.Recipients {
		if r.Status == "delivered" {
			continue
		}
		if r.DelayReason != reason && r.DelayReason != "" {
			if _, err := fmt.Fprintf(m.w, "%*s\n", mailqWidth, "("+clean(r.DelayReason)+")"); err != nil {
				return err
			}
		}
		reason = r.DelayReason
		if _, err := fmt.Fprintf(m.w, mailqNext, "", "", "", clean(r.Address)); err != nil {
			return err
		}
	}
	return nil
}

func (m *mailq) end() {
	if m.count == 0 {
		fmt.Fprintln(m.w, "Mail queue is empty")
		return
	}
	fmt.Fprintf(m.w, "\n-- %d Kbytes in %d Request%s.\n", (m.bytes+512)/1024, m.count, plural(m.count))
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// clean keeps what the network sent from moving the operator's cursor.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
