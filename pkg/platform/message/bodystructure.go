package message

import (
	"strconv"
	"strings"
)

// AppendBodyStructure appends the IMAP BODY (extended false) or BODYSTRUCTURE
// (RFC 3501 section 7.4.2) of p.
func AppendBodyStructure(dst []byte, p *Part, extended bool) []byte {
	typ, _ := p.ContentType()
	dst = append(dst, '(')
	if p.IsMultipart() {
		dst = appendMultipart(dst, p, extended)
		return append(dst, ')')
	}
	if typ == "multipart" {
		// No parts were found in it. The grammar wants one, so there is an
		// empty one, as Dovecot shows it.
		dst = append(dst, `("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 0 0`...)
		if extended {
			dst = append(dst, " NIL NIL NIL NIL"...)
		}
		dst = append(dst, ") "...)
		dst = AppendString(dst, p.Subtype)
		if extended {
			dst = appendMultipartExt(dst, p)
		}
		return append(dst, ')')
	}
	dst = appendLeaf(dst, p, typ, extended)
	return append(dst, ')')
}

func appendMultipart(dst []byte, p *Part, extended bool) []byte {
	for _, c := range p.Children {
		dst = AppendBodyStructure(dst, c, extended)
	}
	dst = append(dst, ' ')
	dst = AppendString(dst, p.Subtype)
	if extended {
		dst = appendMultipartExt(dst, p)
	}
	return dst
}

func appendMultipartExt(dst []byte, p *Part) []byte {
	dst = append(dst, ' ')
	dst = appendParams(dst, p.Params)
	return appendExt(dst, p)
}

func appendLeaf(dst []byte, p *Part, typ string, extended bool) []byte {
	params := p.Params
	if p.Type == "" {
		dst = append(dst, `"text" "plain"`...)
	} else {
		dst = AppendString(dst, p.Type)
		dst = append(dst, ' ')
		dst = AppendString(dst, p.Subtype)
	}
	if typ == "text" && p.Param("charset") == "" {
		// RFC 2045 section 5.2 names the default; Dovecot spells it out.
		params = append(params[:len(params):len(params)], Param{"charset", "us-ascii"})
	}
	dst = append(dst, ' ')
	dst = appendParams(dst, params)
	dst = append(dst, ' ')
	dst = AppendNString(dst, p.ID)
	dst = append(dst, ' ')
	dst = AppendNString(dst, p.Description)
	dst = append(dst, ' ')
	if p.Encoding == "" {
		dst = append(dst, `"7bit"`...)
	} else {
		dst = AppendString(dst, p.Encoding)
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, p.BodyVSize, 10)
	switch {
	case p.Message != nil:
		dst = append(dst, ' ')
		dst = append(dst, p.Message.Envelope...)
		dst = append(dst, ' ')
		dst = AppendBodyStructure(dst, p.Message, extended)
		fallthrough
	case typ == "text":
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, p.BodyLines, 10)
	}
	if extended {
		dst = append(dst, ' ')
		dst = AppendNString(dst, p.MD5)
		dst = appendExt(dst, p)
	}
	return dst
}

// appendExt writes " disposition language location".
func appendExt(dst []byte, p *Part) []byte {
	dst = append(dst, ' ')
	if p.Disposition == "" {
		dst = append(dst, "NIL"...)
	} else {
		dst = append(dst, '(')
		dst = AppendString(dst, p.Disposition)
		dst = append(dst, ' ')
		dst = appendParams(dst, p.DispositionParams)
		dst = append(dst, ')')
	}
	dst = append(dst, ' ')
	switch len(p.Languages) {
	case 0:
		dst = append(dst, "NIL"...)
	case 1:
		dst = AppendString(dst, p.Languages[0])
	default:
		dst = append(dst, '(')
		for i, l := range p.Languages {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = AppendString(dst, l)
		}
		dst = append(dst, ')')
	}
	dst = append(dst, ' ')
	return AppendNString(dst, p.Location)
}

func appendParams(dst []byte, ps []Param) []byte {
	if len(ps) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for i, p := range ps {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = AppendString(dst, p.Name)
		dst = append(dst, ' ')
		dst = AppendString(dst, strings.TrimRight(p.Value, "\r\n"))
	}
	return append(dst, ')')
}
