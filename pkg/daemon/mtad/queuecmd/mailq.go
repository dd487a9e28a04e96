package queuecmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// mailq makes the list as Postfix's mailq does with long queue ids.
type mailq struct {
	text  []byte
	count int
	bytes int64
}

// The columns: "%-17s %8d %19.19s %s".
const (
	mailqHead  = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------\n"
	mailqNext  = "                                               " // before a recipient
	mailqWidth = 76                                                // a reason is moved right by what it is shorter
)

func (m *mailq) add(l *Listed) {
	if m.count++; m.count == 1 {
		m.text = append(m.text, mailqHead...)
	} else {
		m.text = append(m.text, '\n')
	}
	m.bytes += l.MessageSize
	id := l.QueueID
	switch {
	case l.QueueName == "active":
		id += "*"
	case l.QueueName == "hold":
		id += "!"
	}
	if l.ForcedExpire {
		id += "#"
	}
	size := strconv.FormatInt(l.MessageSize, 10)
	m.put(id)
	m.pad(17 - len(id) + 1 + 8 - len(size))
	m.put(size)
	m.pad(1)
	at := len(m.text)
	m.text = time.Unix(l.ArrivalTime, 0).AppendFormat(m.text, time.ANSIC)[:at+19]
	m.pad(1)
	m.put(clean(l.Sender))
	m.put("\n")
	m.recipients(l)
}

// recipients lists those that wait, a reason before those that share it.
func (m *mailq) recipients(l *Listed) {
	reason := ""
	for i := range l.Recipients {
		r := &l.Recipients[i]
		if r.Status == "delivered" {
			continue
		}
		if r.DelayReason != reason && r.DelayReason != "" {
			text := clean(r.DelayReason)
			m.pad(mailqWidth - utf8.RuneCountInString(text))
			m.put("(")
			m.put(text)
			m.put(")\n")
		}
		reason = r.DelayReason
		m.put(mailqNext)
		m.put(clean(r.Address))
		m.put("\n")
	}
}

func (m *mailq) size() int { return len(m.text) }

func (m *mailq) take() string {
	s := string(m.text)
	m.text = m.text[:0]
	return s
}

func (m *mailq) put(s string) { m.text = append(m.text, s...) }

func (m *mailq) pad(n int) {
	for ; n > 0; n-- {
		m.text = append(m.text, ' ')
	}
}

func (m *mailq) end() {
	if m.count == 0 {
		m.put("Mail queue is empty\n")
		return
	}
	m.text = fmt.Appendf(m.text, "\n-- %d Kbytes in %d Request%s.\n", m.bytes/1024, m.count, plural(m.count))
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// clean keeps what the network sent from moving the operator's cursor.
func clean(s string) string {
	if printable(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
