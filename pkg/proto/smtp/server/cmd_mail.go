package server

import (
	"bytes"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// cmdMail is MAIL (RFC 5321 section 4.1.1.2).
func (e *engine) cmdMail(args []byte) Reply {
	if e.swallow {
		return e.refused("MAIL", e.cfg.Replies.MailInChunks, args)
	}
	given, ok := argument(args, "FROM:")
	if !ok {
		return e.refused("MAIL", MakeReply(501, 5, 5, 4, "Syntax: MAIL FROM:<address>"), args)
	}
	path, params, _, err := wire.Path(args, "FROM:")
	if err != nil {
		return e.refusedFor(BadAddress, "MAIL", e.cfg.Replies.BadSender, given)
	}
	from, err := addr.Parse(string(path))
	if err != nil {
		return e.refusedFor(BadAddress, "MAIL", e.cfg.Replies.BadSender, given)
	}
	tx := &Transaction{From: from}
	switch r := e.mailParams(params, tx); {
	case r == e.cfg.Replies.TooBig:
		e.hooks.Event(Event{Kind: EventRefused, Why: Unwanted, Verb: "MAIL", Reply: r, Tx: tx})
		return r
	case !r.IsZero():
		return e.refused("MAIL", r, args)
	}
	if !e.mayBeWide(path, tx) {
		return e.refused("MAIL", needsUTF8(), args)
	}
	return e.beginTx(tx)
}

// argument returns what stands behind the keyword of MAIL or RCPT; ok is false
// when that is nothing.
func argument(args []byte, keyword string) (given []byte, ok bool) {
	if len(args) < len(keyword) || !equalFold(args[:len(keyword)], keyword) {
		return nil, false
	}
	given = bytes.TrimLeft(args[len(keyword):], " \t")
	return given, len(given) > 0
}

// mayBeWide reports whether a path may stand in a transaction. One in UTF-8 makes
// it one of SMTPUTF8, unless the client must say so.
func (e *engine) mayBeWide(path []byte, tx *Transaction) bool {
	if !wide(path) {
		return true
	}
	tx.Options.UTF8 = tx.Options.UTF8 || !e.pub.Policy.StrictUTF8
	return tx.Options.UTF8
}

// needsUTF8 is the reply of RFC 6531 section 3.5.
func needsUTF8() Reply {
	return MakeReply(553, 5, 6, 7, "Error: a non-ASCII address needs the SMTPUTF8 parameter")
}

func wide(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
