package authclient

import (
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// maxMechs bounds the announced mechanisms; Dovecot knows some twenty.
const maxMechs = 100

// handshake collects the server's greeting. Dovecot 2.3 sends it at accept,
// 2.4 after our VERSION; either way DONE ends it.
type handshake struct {
	version bool
	binding bool // we can tell channel bindings
	mechs   []dovecotauth.Mechanism
	cookie  string
	spid    uint32
	cuid    uint32
}

func (h *handshake) Line(l dovecotauth.Line) (done bool, err error) {
	switch l.Verb {
	case "VERSION":
		if l.Param(0) != "1" {
			return false, fail.New(fail.Invalid, "auth service speaks protocol version %.20q, not 1", l.Param(0))
		}
		h.version = true
	case "MECH":
		m, ok := dovecotauth.ParseMechanism(l)
		if ok && len(h.mechs) < maxMechs && (h.binding || !m.ChannelBinding) {
			h.mechs = append(h.mechs, m)
		}
	case "SPID":
		if len(h.mechs) == 0 { // the test Postfix and Exim make
			return false, fail.New(fail.Invalid, "this is a master or userdb socket, not a client socket")
		}
		h.spid, _ = dovecotauth.ParseID(l.Param(0))
	case "CUID":
		h.cuid, _ = dovecotauth.ParseID(l.Param(0))
	case "COOKIE":
		h.cookie = l.Param(0)
	case "DONE":
		if !h.version {
			return false, fail.New(fail.Invalid, "auth service ended its greeting without VERSION")
		}
		return true, nil
	}
	return false, nil
}

func (h *handshake) offers(mech string) bool {
	for _, m := range h.mechs {
		if m.Name == mech {
			return true
		}
	}
	return false
}
