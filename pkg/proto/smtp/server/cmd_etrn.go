package server

import (
	"net/netip"
	"strings"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// cmdEtrn is ETRN (RFC 1985): mail that waits for a domain is tried again.
func (e *engine) cmdEtrn(args []byte) Reply {
	if e.cfg.Etrn == nil || e.pub.Policy.Words.HideETRN {
		return e.refused("ETRN", MakeReply(502, 5, 5, 1, "Error: command not implemented"), args)
	}
	name := string(args)
	if name == "" || strings.ContainsAny(name, " \t") {
		return e.refused("ETRN", MakeReply(500, 5, 5, 4, "Syntax: ETRN domain"), args)
	}
	// "@" asks for all hosts below a domain too, "#" for a queue (section 5.3):
	// both mean the name here, as in Postfix.
	name = strings.TrimLeft(name, "@#")
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err != nil {
		if _, err := addr.Domain(name); err != nil {
			return e.refused("ETRN", MakeReply(501, 5, 5, 4, "Error: invalid parameter syntax"), args)
		}
	}
	return e.cfg.Etrn(e.ctx, &e.pub, strings.ToLower(name))
}
