package server

import (
	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
)

// cmdMail is MAIL (RFC 5321 section 4.1.1.2).
func (e *engine) cmdMail(args []byte) Reply {
	path, params, _, err := wire.Path(args, "FROM:")
	if err != nil {
		return e.refused("MAIL", MakeReply(501, 5, 5, 4, "Syntax: MAIL FROM:<address>"), args)
	}
	from, err := addr.Parse(string(path))
	if err != nil {
		return e.refused("MAIL", e.cfg.Replies.BadSender, args)
	}
	tx := &Transaction{From: from}
	if r := e.mailParams(params, tx); !r.IsZero() {
		return e.refused("MAIL", r, args)
	}
	if !tx.Options.UTF8 && wide(path) {
		return e.refused("MAIL", needsUTF8(), args)
	}
	return e.beginTx(tx)
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
