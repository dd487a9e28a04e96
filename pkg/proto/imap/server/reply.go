package server

import (
	"context"
	"errors"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// Texts that clients and people know from Dovecot.
const (
	textInternal = "Internal error occurred. Refer to server log for more information."
	textGone     = "Some of the requested messages no longer exist."
	textDeleted  = "Selected mailbox was deleted, have to disconnect."
)

// codeExpungeIssued is of RFC 5530 section 3.
const codeExpungeIssued imap.ResponseCode = "EXPUNGEISSUED"

// failed turns an error of the Account into a reply. What the client has no
// use for stays in the log: only errors of kinds that name the client's own
// doing show their text.
func (s *session) failed(verb, object string, err error) reply {
	switch fail.KindOf(err) {
	case fail.NotFound:
		return no(imap.ResponseCodeNonExistent, "Mailbox doesn't exist: "+object)
	case fail.Exists:
		return no(imap.ResponseCodeAlreadyExists, "Mailbox already exists: "+object)
	case fail.Denied:
		return no(imap.ResponseCodeNoPerm, "Permission denied: "+object)
	case fail.Invalid:
		return no(imap.ResponseCodeCannot, "Invalid: "+object)
	case fail.Full:
		s.logFailure(verb, err)
		return no(imap.ResponseCodeOverQuota, "Quota exceeded (mailbox for user is full).")
	case fail.Unavailable:
		s.logFailure(verb, err)
		return no(imap.ResponseCodeUnavailable, "Mailbox is not available at the moment.")
	}
	s.logFailure(verb, err)
	return no(imap.ResponseCodeServerBug, textInternal)
}

// tryCreate is failed for a destination: a missing one may be created (RFC
// 3501 sections 6.3.11 and 6.4.7).
func (s *session) tryCreate(verb, object string, err error) reply {
	r := s.failed(verb, object, err)
	if fail.Is(err, fail.NotFound) {
		r.code = string(imap.ResponseCodeTryCreate)
	}
	return r
}

func (s *session) logFailure(verb string, err error) {
	if s.start.Failed != nil && !errors.Is(err, context.Canceled) { // we have stopped it ourselves
		s.start.Failed(verb, err)
	}
}

// syntax turns a parse error into a reply.
func syntax(verb string, err error) reply {
	var e *wire.SyntaxError
	if !errors.As(err, &e) {
		return bad(err.Error())
	}
	if e.No {
		return no(e.Code, e.Text)
	}
	text := "Error in IMAP command"
	if verb != "" {
		text += " " + verb
	}
	return reply{imap.StatusResponseTypeBad, string(e.Code), text + ": " + e.Text + "."}
}

// news is what a CONDSTORE-aware client makes of what it is told (RFC 7162
// section 6): at each tagged answer it takes the highest MODSEQ that it has
// heard of for the one up to which it knows all, unless it is told another.
type news struct {
	high uint64 // up to here the client believes to know all
	sent uint64 // highest MODSEQ in a FETCH since
	gone bool   // expunges were told since
}

// safe is up to which MODSEQ the client knows all but for what c has told: not
// what it will hear of expunges that cannot be told yet, or of other commands
// that are just telling.
func (c *call) safe() uint64 {
	n := c.view.pin.Info().HighestModSeq
	if c.ahead != nil {
		for _, k := range c.ahead.known {
			if k != c && k.floor > 0 {
				n = min(n, k.floor)
			}
		}
	}
	return n
}

// conclude sees to it that the client believes what is right after c: a
// connection that is lost now must not lose it a change (RFC 7162 section 3.2).
// After an EXPUNGE it is told in any case (section 3.2.7).
func (c *call) conclude(r reply) reply {
	if !c.tellsModSeq() {
		c.news = news{}
		return r
	}
	n, safe := c.news, c.safe()
	believed := max(n.high, n.sent)
	if believed < safe && n.gone || believed > safe {
		if r.typ == imap.StatusResponseTypeOK && r.code == "" {
			r.code = highestModSeq(safe)
		} else {
			c.w.Status("*", "OK", highestModSeq(safe), "Highest")
		}
		believed = safe
	}
	c.news = news{high: believed}
	return r
}
