package wire

import (
	"strings"
	"unicode/utf8"

	imap "github.com/emersion/go-imap/v2"
)

// atomSpecials are the characters that end an atom (RFC 3501 section 9),
// besides space, controls and 8-bit.
const atomSpecials = "(){%*\"\\"

func isAtomChar(c byte) bool {
	return c > ' ' && c < 0x7f && strings.IndexByte(atomSpecials, c) < 0 && c != ']'
}

// isStringChar is ASTRING-CHAR, and 8-bit for clients that send names and
// passwords in UTF-8 unquoted.
func isStringChar(c byte) bool {
	return isAtomChar(c) || c == ']' || c >= 0x80
}

func isListChar(c byte) bool { return isStringChar(c) || c == '%' || c == '*' }

func isTagChar(c byte) bool { return isAtomChar(c) && c != '+' || c == ']' }

// run reads one or more bytes that ok accepts.
func (r *Reader) run(what string, max int, ok func(byte) bool) string {
	var long []byte
	n := 0
	for {
		c := r.Peek() // fills the buffer
		if c == 0 {
			break
		}
		start := r.r
		end := min(r.w, start+min(max-n, r.lim.Line-r.line)+1)
		for r.r < end && ok(r.buf[r.r]) {
			r.r++
		}
		piece := r.buf[start:r.r]
		n += len(piece)
		r.line += len(piece)
		if n > max {
			r.Fail(what + " is too long")
			return ""
		}
		if r.line > r.lim.Line {
			r.Fail("Too long command line")
			return ""
		}
		if r.r < r.w && long == nil {
			if n == 0 {
				break
			}
			r.Peek() // a NUL behind it counts
			return string(piece)
		}
		long = append(long, piece...)
		if r.r < r.w {
			break
		}
	}
	if n == 0 {
		r.Fail(what + " expected")
	}
	return string(long)
}

// Tag reads a command's tag.
func (r *Reader) Tag() string { return r.run("Tag", r.lim.Tag, isTagChar) }

// Atom reads an atom.
func (r *Reader) Atom() string { return r.run("Atom", r.lim.Line, isAtomChar) }

// Word reads an atom and returns it in upper case: a keyword of the grammar.
func (r *Reader) Word() string { return strings.ToUpper(r.Atom()) }

// SP reads one space. Clients that send several are let through.
func (r *Reader) SP() {
	if r.Peek() != ' ' {
		r.Fail("Space expected")
		return
	}
	for r.Peek() == ' ' {
		r.next()
	}
}

// Byte consumes c or fails.
func (r *Reader) Byte(c byte) {
	if r.Peek() != c {
		r.Fail("\"" + string(rune(c)) + "\" expected")
		return
	}
	r.next()
}

// Take consumes c when it is next and reports whether it was.
func (r *Reader) Take(c byte) bool {
	if r.Peek() != c {
		return false
	}
	r.next()
	return true
}

// End reads the end of the command. Trailing spaces are let through: Outlook
// and hand-typed commands have them.
func (r *Reader) End() {
	for r.Peek() == ' ' {
		r.next()
	}
	if c := r.Peek(); r.Ok() && c != '\r' && c != '\n' {
		r.Fail("Too many arguments")
		return
	}
	r.lineEnd()
}

// AtEnd reports whether the command has no further argument.
func (r *Reader) AtEnd() bool {
	c := r.Peek()
	return c == '\r' || c == '\n' || c == 0
}

// More reports whether another argument follows, and reads the spaces before
// it. Behind a space at the end of the line there is none, see End.
func (r *Reader) More() bool {
	if r.Peek() != ' ' {
		return false
	}
	r.SP()
	return !r.AtEnd()
}

// AString reads an atom, a quoted string or a literal.
func (r *Reader) AString() string {
	switch r.Peek() {
	case '"', '{':
		return r.String()
	}
	return r.run("String", r.lim.Line, isStringChar)
}

// String reads a quoted string or a literal.
func (r *Reader) String() string {
	switch r.Peek() {
	case '"':
		return r.quoted()
	case '{':
		return string(r.literal())
	}
	r.Fail("String expected")
	return ""
}

// NString reads a string or NIL. ok is false for NIL.
func (r *Reader) NString() (s string, ok bool) {
	switch r.Peek() {
	case '"', '{':
		return r.String(), r.Ok()
	}
	if r.Word() != "NIL" {
		r.Fail("String or NIL expected")
	}
	return "", false
}

// quoted reads a quoted string. 8-bit bytes are allowed (RFC 9051 allows
// UTF-8; who may not use it is checked where the meaning is known), and so is
// a backslash before any character, as Outlook Express sends.
func (r *Reader) quoted() string {
	var b []byte
	r.next()
	for {
		c := r.Peek()
		switch {
		case c == 0:
			return ""
		case c == '"':
			r.next()
			if r.utf8 && !utf8.Valid(b) {
				r.Fail("String is not valid UTF-8")
				return ""
			}
			return string(b)
		case c == '\r' || c == '\n':
			r.Fail("Missing '\"'")
			return ""
		case c == '\\':
			r.next()
			if c = r.Peek(); c == '\r' || c == '\n' || c == 0 {
				r.Fail("Missing '\"'")
				return ""
			}
		}
		b = append(b, c)
		r.next()
	}
}

// ListMailbox reads the pattern of LIST: list-char or a string.
func (r *Reader) ListMailbox() string {
	switch r.Peek() {
	case '"', '{':
		return r.String()
	}
	return r.run("Pattern", r.lim.Line, isListChar)
}

// List calls item for every element of a parenthesised list. item may call
// List again, down to the depth of the limits.
func (r *Reader) List(item func()) {
	r.Byte('(')
	if r.depth++; r.depth > r.lim.Depth {
		r.Fail("Too many parentheses")
	}
	defer func() { r.depth-- }()
	if r.Take(')') {
		return
	}
	for n := 0; r.Ok(); n++ {
		if n == r.lim.Count {
			r.Fail("Too many elements in a list")
			return
		}
		item()
		if r.Take(')') {
			return
		}
		r.SP()
		if r.Take(')') { // "(a b )"
			return
		}
	}
}

// Deeper guards recursion that is not a List: it fails beyond the depth of
// the limits. Call the returned function when done.
func (r *Reader) Deeper() (done func()) {
	if r.depth++; r.depth > r.lim.Depth {
		r.Fail("Too many levels in the command")
	}
	return func() { r.depth-- }
}

// Number reads an unsigned number of 32 bits.
func (r *Reader) Number() uint32 {
	n := r.Number64()
	if n > 1<<32-1 {
		r.Fail("Number is too large")
		return 0
	}
	return uint32(n)
}

// Number64 reads an unsigned number of 63 bits.
func (r *Reader) Number64() int64 {
	var n int64
	digits := 0
	for c := r.Peek(); c >= '0' && c <= '9'; c = r.Peek() {
		if n > (1<<63-1-int64(c-'0'))/10 {
			r.Fail("Number is too large")
			return 0
		}
		n = n*10 + int64(c-'0')
		digits++
		r.next()
	}
	if digits == 0 {
		r.Fail("Number expected")
		return 0
	}
	return n
}

// maxKeyword bounds a flag: a name longer than a file system would take is
// not one that any client uses.
const maxKeyword = 255

// Flag reads a flag other than \Recent and \*.
func (r *Reader) Flag() imap.Flag {
	if !r.Take('\\') {
		return imap.Flag(r.run("Flag", maxKeyword, isAtomChar))
	}
	switch name := r.run("Flag", maxKeyword, isAtomChar); strings.ToLower(name) {
	case "answered":
		return imap.FlagAnswered
	case "flagged":
		return imap.FlagFlagged
	case "deleted":
		return imap.FlagDeleted
	case "seen":
		return imap.FlagSeen
	case "draft":
		return imap.FlagDraft
	default:
		r.Fail("Invalid system flag \\" + name)
		return ""
	}
}

// maxFlags bounds a flag list.
const maxFlags = 256

// Flags reads a parenthesised list of flags.
func (r *Reader) Flags() []imap.Flag {
	flags := []imap.Flag{}
	r.List(func() {
		if len(flags) == maxFlags {
			r.Fail("Too many flags")
			return
		}
		flags = append(flags, r.Flag())
	})
	return flags
}

// Line reads the rest of the line as it is, without its end: an answer to a
// continuation.
func (r *Reader) Line() []byte {
	line := []byte{}
	for {
		switch c := r.Peek(); {
		case !r.Ok():
			return nil
		case c == '\n':
			r.bump() // within the limit or not: the line is over
			if n := len(line); n > 0 && line[n-1] == '\r' {
				line = line[:n-1]
			}
			return line
		default:
			line = append(line, c)
			r.next()
		}
	}
}
