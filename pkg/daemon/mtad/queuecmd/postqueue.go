package queuecmd

import (
	"strconv"
	"unicode/utf8"
)

// postqueue makes the list as Postfix's postqueue -j does: one object on each
// line, and the same spaces, which some readers match on.
type postqueue struct{ text []byte }

func (p *postqueue) add(l *Listed) {
	b := append(p.text, `{"queue_name": `...)
	b = appendJSON(b, l.QueueName)
	b = appendJSON(append(b, `, "queue_id": `...), l.QueueID)
	b = strconv.AppendInt(append(b, `, "arrival_time": `...), l.ArrivalTime, 10)
	b = strconv.AppendInt(append(b, `, "message_size": `...), l.MessageSize, 10)
	b = strconv.AppendBool(append(b, `, "forced_expire": `...), l.ForcedExpire)
	b = appendJSON(append(b, `, "sender": `...), l.Sender)
	b = append(b, `, "recipients": [`...)
	first := true
	for i := range l.Recipients {
		r := &l.Recipients[i]
		if r.Status == "delivered" {
			continue
		}
		if !first {
			b = append(b, ", "...)
		}
		first = false
		b = appendJSON(append(b, `{"address": `...), r.Address)
		if r.DelayReason != "" {
			b = appendJSON(append(b, `, "delay_reason": `...), r.DelayReason)
		}
		b = append(b, '}')
	}
	p.text = append(b, "]}\n"...)
}

func (p *postqueue) end()      {}
func (p *postqueue) size() int { return len(p.text) }

func (p *postqueue) take() string {
	s := string(p.text)
	p.text = p.text[:0]
	return s
}

// appendJSON writes a string. Bytes that are no UTF-8 become U+FFFD.
func appendJSON(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r < ' ' || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
