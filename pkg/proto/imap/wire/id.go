package wire

import "strings"

// The bounds of RFC 2971 section 3.3.
const (
	maxIDPairs = 30
	maxIDName  = 30
	maxIDValue = 1024
)

// IDPair is what a client says of itself: a name, and a value unless that is
// NIL.
type IDPair struct {
	Name, Value string
	Nil         bool
}

// ID reads the argument of ID: NIL, or a list of names and values.
func (r *Reader) ID() []IDPair {
	if r.Peek() != '(' {
		if _, isString := r.NString(); isString {
			r.Fail("List or NIL expected")
		}
		return nil
	}
	var pairs []IDPair
	n := 0
	r.List(func() {
		s, there := r.NString()
		switch {
		case n == 2*maxIDPairs, n%2 == 0 && len(s) > maxIDName, len(s) > maxIDValue:
			r.Fail("ID is too long")
		case n%2 == 0:
			pairs = append(pairs, IDPair{Name: s})
		default:
			pairs[n/2].Value, pairs[n/2].Nil = s, !there
		}
		n++
	})
	if n%2 != 0 {
		r.Fail("ID has a name without a value")
	}
	if !r.Ok() {
		return nil
	}
	return pairs
}

// ID writes the answer to ID.
func (w *Writer) ID(pairs [][2]string) {
	w.Raw("* ID ")
	if len(pairs) == 0 {
		w.Raw("NIL\r\n")
		return
	}
	sep := "("
	for _, p := range pairs {
		w.Raw(sep)
		w.String(p[0])
		w.Raw(" ")
		w.String(p[1])
		sep = " "
	}
	w.Raw(")\r\n")
}

// The bounds of what is logged of a client's ID, in bytes.
const (
	maxLoggedID    = 512
	maxLoggedValue = 100
)

// IDText is what a log tells of a client's ID: "name=Mail, version=16.0". Of
// the pairs only those in names are told ("*": all), printable and cut to what
// a line has room for.
func IDText(pairs []IDPair, names []string) string {
	var b strings.Builder
	for _, p := range pairs {
		wanted := false
		for _, n := range names {
			wanted = wanted || n == "*" || strings.EqualFold(n, p.Name)
		}
		text := printable(p.Name) + "=" + printable(p.Value)
		if !wanted || p.Value == "" || b.Len()+2+len(text) > maxLoggedID {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(text)
	}
	return b.String()
}

// printable keeps a client's bytes from forging a log line or its fields.
func printable(s string) string {
	b := []byte(s[:min(len(s), maxLoggedValue)])
	for i, c := range b {
		if c < ' ' || c >= 0x7f || c == ',' || c == '=' || c == '<' || c == '>' {
			b[i] = '?'
		}
	}
	return string(b)
}
