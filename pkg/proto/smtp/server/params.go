package server

import (
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// param is one known ESMTP parameter.
type param[T any] struct {
	name string
	on   func(e *engine) bool
	set  func(e *engine, into *T, value string, has bool) Reply
}

func syntax(text string) Reply { return MakeReply(501, 5, 5, 4, text) }

// mailParams reads the parameters of MAIL.
func (e *engine) mailParams(params []byte, tx *Transaction) Reply {
	if len(params) == 0 {
		return Reply{}
	}
	return readParams(e, params, tx, []param[Transaction]{
		{"SIZE", func(e *engine) bool { return e.pub.Policy.Words.Size }, setSize},
		{"BODY", func(e *engine) bool { return e.pub.Policy.Words.EightBitMIME }, setBody},
		{"SMTPUTF8", func(e *engine) bool { return e.pub.Policy.Words.SMTPUTF8 }, setUTF8},
		{"AUTH", func(e *engine) bool { return e.cfg.Auth != nil }, setAuth},
		{"RET", func(e *engine) bool { return e.pub.Policy.Words.DSN }, setRet},
		{"ENVID", func(e *engine) bool { return e.pub.Policy.Words.DSN }, setEnvID},
	})
}

// rcptParams reads the parameters of RCPT.
func (e *engine) rcptParams(params []byte, rcpt *Recipient) Reply {
	if len(params) == 0 {
		return Reply{}
	}
	return readParams(e, params, rcpt, []param[Recipient]{
		{"NOTIFY", func(e *engine) bool { return e.pub.Policy.Words.DSN }, setNotify},
		{"ORCPT", func(*engine) bool { return true }, setORCPT},
	})
}

func readParams[T any](e *engine, params []byte, into *T, known []param[T]) Reply {
	var seen uint
	for len(params) > 0 {
		key, value, has, rest, err := wire.Param(params)
		if err != nil {
			first, _, _ := strings.Cut(string(params), " ")
			return e.badOption([]byte(first))
		}
		i := 0
		for i < len(known) && (!equalFold(key, known[i].name) || !known[i].on(e)) {
			i++
		}
		if i == len(known) {
			return e.badOption(params[:len(params)-len(rest)])
		}
		if seen&(1<<i) != 0 {
			return syntax("Error: parameter given twice: " + known[i].name)
		}
		seen |= 1 << i
		if r := known[i].set(e, into, string(value), has); !r.IsZero() {
			return r
		}
		params = rest
	}
	return Reply{}
}

func (e *engine) badOption(param []byte) Reply {
	r := e.cfg.Replies.BadOption
	if strings.HasSuffix(r.Text, " ") {
		r.Text += printable(param)
	}
	return r
}

// setSize: SIZE=n (RFC 1870 section 6).
func setSize(e *engine, tx *Transaction, v string, _ bool) Reply {
	n, ok := wire.Digits([]byte(v))
	switch {
	case !ok && len(v) > 18 && strings.Trim(v, "0123456789") == "":
		return e.cfg.Replies.TooBig // up to 20 digits are well-formed
	case !ok:
		return syntax("Bad message size syntax")
	}
	if limit := e.pub.Policy.Limits.MessageSize; limit > 0 && n > limit {
		return e.cfg.Replies.TooBig
	}
	tx.Options.Size = n
	return Reply{}
}

// setBody: BODY=7BIT or 8BITMIME (RFC 6152 section 3).
func setBody(e *engine, tx *Transaction, v string, _ bool) Reply {
	switch b := smtp.BodyType(strings.ToUpper(v)); b {
	case smtp.Body7Bit, smtp.Body8BitMIME:
		tx.Options.Body = b
		return Reply{}
	}
	return e.badOption([]byte("BODY=" + v))
}

// setUTF8: SMTPUTF8 (RFC 6531 section 3.4).
func setUTF8(e *engine, tx *Transaction, v string, has bool) Reply {
	if has {
		return e.badOption([]byte("SMTPUTF8=" + v))
	}
	tx.Options.UTF8 = true
	return Reply{}
}

// setAuth: AUTH=mailbox in xtext, or <> (RFC 4954 section 5).
func setAuth(_ *engine, tx *Transaction, v string, _ bool) Reply {
	s, err := wire.ParseXtext(v)
	if err != nil || s == "" {
		return syntax("Bad AUTH parameter syntax")
	}
	if s == "<>" {
		s = ""
	}
	tx.Options.Auth = &s
	return Reply{}
}

// setRet: RET=FULL or HDRS (RFC 3461 section 4.3).
func setRet(_ *engine, tx *Transaction, v string, _ bool) Reply {
	switch ret := smtp.DSNReturn(strings.ToUpper(v)); ret {
	case smtp.DSNReturnFull, smtp.DSNReturnHeaders:
		tx.Options.Return = ret
		return Reply{}
	}
	return syntax("Bad RET parameter syntax")
}

// setEnvID: ENVID=xtext, at most 100 characters (RFC 3461 section 4.4).
func setEnvID(_ *engine, tx *Transaction, v string, _ bool) Reply {
	s, err := wire.ParseXtext(v)
	if err != nil || s == "" || len(v) > 100 {
		return syntax("Bad ENVID parameter syntax")
	}
	tx.Options.EnvelopeID = s
	return Reply{}
}

// setNotify: NOTIFY=NEVER, or a list of the others (RFC 3461 section 4.1).
func setNotify(_ *engine, rcpt *Recipient, v string, _ bool) Reply {
	words := strings.Split(strings.ToUpper(v), ",")
	if len(words) > 3 {
		return syntax("Error: Bad NOTIFY parameter syntax")
	}
	for _, w := range words {
		n := smtp.DSNNotify(w)
		switch n {
		case smtp.DSNNotifySuccess, smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed:
		case smtp.DSNNotifyNever:
			if len(words) == 1 {
				break
			}
			fallthrough
		default:
			return syntax("Error: Bad NOTIFY parameter syntax")
		}
		rcpt.Options.Notify = append(rcpt.Options.Notify, n)
	}
	return Reply{}
}

// setORCPT: ORCPT=type;address (RFC 3461 section 4.2, RFC 6533 section 3). It
// is read even when DSN is not announced: Postfix's lmtp sends it to Dovecot,
// which does not announce DSN either.
func setORCPT(_ *engine, rcpt *Recipient, v string, _ bool) Reply {
	kind, rest, ok := strings.Cut(v, ";")
	if !ok || !isAtom(kind) || rest == "" || len(v) > 500 {
		return syntax("Error: Bad ORCPT parameter syntax")
	}
	s, err := wire.ParseXtext(rest)
	if strings.EqualFold(kind, "utf-8") && err == nil {
		s, err = wire.ParseUnitext(s)
	}
	if err != nil {
		return syntax("Error: Bad ORCPT parameter syntax")
	}
	rcpt.Options.OriginalRecipientType = smtp.DSNAddressType(kind)
	rcpt.Options.OriginalRecipient = s
	return Reply{}
}

// escaped returns at most 100 octets of b for a log line that shows what was
// sent, as Postfix does.
func escaped(b []byte) string {
	return string(wire.AppendEscaped(nil, b[:min(100, len(b))]))
}

// neutral returns text for places where it must not look like a field of its
// own, end a quotation or begin a comment: those octets become "?", as in
// Postfix.
func neutral(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || strings.ContainsRune(" <>()\\\";@", r) {
			return '?'
		}
		return r
	}, text)
}

// isAtom reports whether s is an atom of ASCII (RFC 822 section 3.3).
func isAtom(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`()<>@,;:\".[]`, c) })
}

// printable returns at most 100 octets of b for logs and replies.
func printable(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	return string(wire.AppendPrintable(nil, string(b[:min(100, len(b))])))
}
