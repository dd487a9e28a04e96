package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

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
		return no(imap.ResponseCodeCannot, "Invalid mailbox name: "+object)
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
	if c.view.quiet != nil {
		n = min(n, c.view.quiet.Info().HighestModSeq)
	}
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

// tellEvery is how often a client is told that a long command is still at
// work (RFC 9585 section 4 recommends 10 to 15 seconds).
const tellEvery = 10 * time.Second

// progress tells the client how far a command is. It belongs to the goroutine
// that runs the command, which calls at while it is away.
type progress struct {
	c             *call
	total         int // what the client is told of, from beginning to end
	stage, stages int // of equal length
	next          time.Time
}

func (c *call) progress(total, stages int) *progress {
	return &progress{c: c, total: total, stages: stages, next: time.Now().Add(c.srv.tellEvery)}
}

// at says that so many of the items of this stage are done.
func (p *progress) at(done, of int) {
	if now := time.Now(); !now.Before(p.next) {
		p.next = now.Add(p.c.srv.tellEvery)
		all := (p.stage*p.total + done*p.total/max(of, 1)) / p.stages
		p.c.lockedUnlessAlone(func() { p.c.tellProgress(all, p.total) })
	}
}

// tellProgress writes an INPROGRESS line: total 0 is not known, and done says
// nothing then. A total that was reached is none that is still to be (RFC 9585
// section 4).
func (c *call) tellProgress(done, total int) {
	if c.done || c.w.Err() != nil || c.announced("INPROGRESS") == nil {
		return
	}
	code := append([]byte("INPROGRESS ("), "NIL"...)
	if c.tag != "" && !strings.Contains(c.tag, "]") { // that would end the code
		code = strconv.AppendQuote(code[:len(code)-3], c.tag)
	}
	if total > 0 {
		code = fmt.Appendf(code, " %d %d)", min(done, total-1), total)
	} else {
		code = append(code, " NIL NIL)"...)
	}
	c.w.Status("*", imap.StatusResponseTypeOK, string(code), "Still working.")
	if c.w.Flush() != nil {
		c.drop()
	}
}

// lockedUnlessAlone runs fn with the session to itself, from a command that is
// away: one that is alone has it already.
func (c *call) lockedUnlessAlone(fn func()) {
	if c.touches&alone == 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
	}
	fn()
}

// awayTelling is away for something that does not say how far it is.
func (c *call) awayTelling(fn func()) {
	var mu sync.Mutex // what the session's lock is for a command that is alone
	lock, isAlone := &c.mu, c.touches&alone != 0
	if isAlone {
		lock = &mu
	}
	var timer *time.Timer
	over := false
	var arm func()
	arm = func() {
		timer = time.AfterFunc(c.srv.tellEvery, func() {
			lock.Lock()
			defer lock.Unlock()
			if !over {
				c.tellProgress(0, 0)
				arm()
			}
		})
	}
	guarded := func(fn func()) {
		if isAlone {
			mu.Lock()
			defer mu.Unlock()
		}
		fn()
	}
	guarded(arm)
	defer guarded(func() {
		over = true
		timer.Stop()
	})
	c.away(fn)
}
