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
