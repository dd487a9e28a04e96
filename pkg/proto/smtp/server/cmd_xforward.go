package server

import "strings"

const xforwardWords = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"

func (e *engine) mayXforward() bool {
	return e.pub.Policy.XForward && !e.pub.Policy.Words.HideXForward
}

// cmdXforward is XFORWARD (Postfix's XFORWARD_README): a filter says from
// whom it had the message that it brings next. It changes no decision, only
// what is logged and passed on.
func (e *engine) cmdXforward(args []byte) Reply {
	if !e.mayXforward() {
		return e.refused("XFORWARD", MakeReply(550, 5, 7, 0, "Error: insufficient authorization"), args)
	}
	var f Forward
	if e.pub.Forward != nil {
		f = *e.pub.Forward // long lists come in several commands
	}
	if r := attributes("XFORWARD", args, f.set); !r.IsZero() {
		return e.refused("XFORWARD", r, args)
	}
	e.pub.Forward = &f
	return MakeReply(250, 2, 0, 0, "Ok")
}

// set takes one attribute, like overrides.set.
func (f *Forward) set(name, value string) fault {
	known := !strings.EqualFold(value, "[UNAVAILABLE]")
	if !known {
		value = ""
	}
	switch name {
	case "NAME":
		return setText(&f.Name, value, 255)
	case "HELO":
		return setText(&f.Helo, value, 255)
	case "PROTO":
		return setText(&f.Proto, value, 64)
	case "IDENT":
		return setText(&f.Ident, value, 255)
	case "ADDR":
		f.Addr = ""
		if !known {
			return good
		}
		a, ok := proxyAddr(value)
		if f.Addr = a.String(); !ok {
			return badSyntax
		}
	case "PORT":
		var h half
		bad := h.setPort(value, known)
		f.Port = h.port
		return bad
	case "SOURCE":
		f.Local, f.Remote = strings.EqualFold(value, "LOCAL"), strings.EqualFold(value, "REMOTE")
		if known && !f.Local && !f.Remote {
			return badSyntax
		}
	default:
		return badName
	}
	return good
}

// setText keeps a value that goes into logs: nothing that could look like a
// field of its own or end a quotation.
func setText(into *string, value string, most int) fault {
	if len(value) > most {
		return badSyntax
	}
	*into = neutral(value)
	return good
}
