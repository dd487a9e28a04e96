package server

import (
	"strconv"
	"strings"
)

// cmdHelo is HELO (RFC 5321 section 4.1.1.1).
func (e *engine) cmdHelo(args []byte) Reply {
	if r := e.greeted("HELO", args); !r.IsZero() {
		return r
	}
	return Reply{Code: 250, Text: e.cfg.Hostname}
}

// greeted records a greeting. It resets like RSET (RFC 5321 section 4.1.4),
// but a login stays.
func (e *engine) greeted(verb string, args []byte) Reply {
	if len(args) == 0 {
		return e.refused(verb, Reply{Code: 501, Text: "Syntax: " + verb + " hostname"}, nil)
	}
	e.endTx()
	e.swallow = false
	e.pub.Verb, e.pub.Helo = verb, heloName(string(args))
	r := e.hooks.Helo(e.ctx)
	if r.IsZero() || r.OK() {
		e.state = stateReady
		return Reply{}
	}
	e.pub.Verb, e.pub.Helo = "", ""
	e.state = stateStart
	return r
}

// heloName is a client's name for itself as hooks see it: in ASCII, as it goes
// into a Received field.
func heloName(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0x7f {
			return '?'
		}
		return r
	}, neutral(s))
}

// extensions builds the reply to EHLO and LHLO, in Postfix's order.
func (e *engine) extensions() Reply {
	var b strings.Builder
	b.WriteString(e.cfg.Hostname)
	add := func(on bool, word string) {
		if on {
			b.WriteByte('\n')
			b.WriteString(word)
		}
	}
	w := &e.pub.Policy.Words
	add(w.Pipelining, "PIPELINING")
	add(w.Size, strings.TrimSuffix("SIZE "+strconv.FormatInt(e.pub.Policy.Limits.MessageSize, 10), " 0"))
	add(w.VRFY, "VRFY")
	add(e.cfg.Etrn != nil && !w.HideETRN, "ETRN")
	add(e.offersTLS() && !w.HideStartTLS, "STARTTLS")
	if e.offersAuth() && !w.HideAuth {
		if mechs := e.cfg.Auth.Mechanisms(&e.pub); len(mechs) > 0 {
			list := strings.Join(mechs, " ")
			add(true, "AUTH "+list)
			add(w.OldAuth, "AUTH="+list)
		}
	}
	add(e.mayXclient(), xclientWords)
	add(e.mayXforward(), xforwardWords)
	add(w.EnhancedStatus, "ENHANCEDSTATUSCODES")
	add(w.EightBitMIME, "8BITMIME")
	add(w.DSN, "DSN")
	add(w.SMTPUTF8, "SMTPUTF8")
	add(w.Chunking, "CHUNKING")
	return Reply{Code: 250, Text: b.String()}
}

func (e *engine) offersTLS() bool { return e.cfg.TLS != nil && e.pub.TLS == nil }

func (e *engine) offersAuth() bool {
	return e.cfg.Auth != nil && e.pub.User == "" && (e.pub.TLS != nil || e.pub.Policy.ClearAuth && !e.pub.Policy.RequireTLS)
}
