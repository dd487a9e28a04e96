package sevenbit

const hex = "0123456789ABCDEF"

// maxColumn is the longest line, without its end (RFC 2045 section 6.7 (5)).
const maxColumn = 76

// quoted encodes lines that come in pieces.
type quoted struct {
	column int
	space  byte // white space whose fate depends on what follows; 0 for none
}

// add encodes a piece of a line, without the line's end.
func (q *quoted) add(out, piece []byte) []byte {
	for _, c := range piece {
		if q.space != 0 {
			out = q.literal(out, q.space)
			q.space = 0
		}
		switch {
		case c == ' ' || c == '\t':
			q.space = c
		case c == '=' || c < ' ' || c > '~':
			out = q.escape(out, c)
		default:
			out = q.literal(out, c)
		}
	}
	return out
}

// end ends a line: white space before it is encoded, or it would be lost.
func (q *quoted) end(out []byte) []byte {
	out = q.finish(out)
	q.column = 0
	return append(out, '\r', '\n')
}

// finish encodes what is left of a line that has no end.
func (q *quoted) finish(out []byte) []byte {
	if q.space != 0 {
		out = q.escape(out, q.space)
		q.space = 0
	}
	return out
}

func (q *quoted) literal(out []byte, c byte) []byte {
	out = q.room(out, 1)
	return append(out, c)
}

func (q *quoted) escape(out []byte, c byte) []byte {
	out = q.room(out, 3)
	return append(out, '=', hex[c>>4], hex[c&15])
}

// room breaks the line if n more octets and the "=" of a later break do not fit.
func (q *quoted) room(out []byte, n int) []byte {
	if q.column+n > maxColumn-1 {
		out = append(out, '=', '\r', '\n')
		q.column = 0
	}
	q.column += n
	return out
}
