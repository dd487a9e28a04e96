package server

import (
	"context"
	"strconv"
)

// ENABLE: RFC 5161. It turns on what the capability table says; what is not
// announced, or needs no ENABLE, is ignored.
func parseEnable(p *parser, _ bool) runner {
	c := &enableCmd{}
	p.SP()
	for more := true; more; more = p.More() {
		if name := p.Word(); p.Ok() && len(c.names) < maxEnable {
			c.names = append(c.names, name)
		}
	}
	return c
}

// maxEnable is how many names of one ENABLE are looked at: more than there
// are to enable.
const maxEnable = 64

type enableCmd struct{ names []string }

func (c *enableCmd) run(_ context.Context, s *call) reply {
	s.w.Raw("* ENABLED")
	var on feature
	for _, row := range s.srv.caps {
		fresh := row.enables &^ (s.enabled | on)
		if fresh == 0 || !containsFold(c.names, row.name) || !s.announces(&row) {
			continue
		}
		on |= fresh
		s.w.Raw(" ")
		s.w.Raw(row.name)
	}
	s.w.CRLF()
	s.enable(on)
	if on&featureCondstore != 0 {
		s.becomeAware()
	}
	return ok("Enabled.")
}

// enable turns features on, for good. Only a command that is alone may call
// it: what it changes is read without a lock.
func (s *session) enable(on feature) {
	s.enabled |= on
	s.p.on = s.enabled
	if on&(featureRev2|featureUTF8) != 0 {
		s.p.utf8 = true
		s.r.UTF8(true)
		s.w.UTF8(true)
	}
}

// has reports whether a feature is enabled.
func (s *session) has(f feature) bool { return s.enabled&f != 0 }

// becomeAware follows a CONDSTORE enabling command (RFC 7162 section 3.1): from
// now on the client is told of MODSEQs. The first one is answered with the
// HIGHESTMODSEQ of the selected mailbox.
func (s *call) becomeAware() {
	if s.aware {
		return
	}
	s.aware = true
	if s.tellsModSeq() {
		s.news = news{high: s.safe()}
		s.w.Status("*", "OK", highestModSeq(s.news.high), "Highest")
	}
}

// keepsModSeq reports whether MODSEQs are served at all: not where other
// programs write the mail too.
func (s *session) keepsModSeq() bool { return s.announced("CONDSTORE") != nil }

// tellsModSeq reports whether FETCH responses have MODSEQ and UID (RFC 7162
// section 3.2.4).
func (s *session) tellsModSeq() bool { return s.aware && s.view != nil && s.view.modseq }

// vanishes reports whether VANISHED stands for EXPUNGE (section 3.2.10).
func (s *session) vanishes() bool { return s.has(featureQresync) && s.tellsModSeq() }

func highestModSeq(n uint64) string { return "HIGHESTMODSEQ " + strconv.FormatUint(n, 10) }

// noModSeq answers what asks for MODSEQs where there are none (section
// 3.1.2.2).
func noModSeq() reply { return bad("Mailbox has no mod-sequences.") }
