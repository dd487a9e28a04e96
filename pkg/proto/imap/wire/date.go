package wire

import (
	"strings"
	"time"
)

// Date reads a date, quoted or not: 1-Feb-1994 (RFC 3501 section 9).
func (r *Reader) Date() time.Time {
	var s string
	if r.Peek() == '"' {
		s = r.quoted()
	} else {
		s = r.Atom()
	}
	if !r.Ok() {
		return time.Time{}
	}
	t, err := time.Parse("2-Jan-2006", s)
	if err != nil {
		r.Fail("Invalid date")
	}
	return t
}

// DateTime reads a quoted date-time: " 1-Feb-1994 21:52:25 -0800". The day
// may have lost its leading space or have a zero instead.
func (r *Reader) DateTime() time.Time {
	if r.Peek() != '"' {
		r.Fail("Date-time expected")
		return time.Time{}
	}
	s := strings.TrimLeft(r.quoted(), " ")
	if !r.Ok() {
		return time.Time{}
	}
	t, err := time.Parse("2-Jan-2006 15:04:05 -0700", s)
	if err != nil || t.Year() < 1 {
		r.Fail("Invalid date-time")
	}
	return t
}

// AppendDateTime appends t as a quoted date-time in its own zone.
func AppendDateTime(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	if year < 0 || year > 9999 { // no client can have sent it
		return t.AppendFormat(b, `"_2-Jan-2006 15:04:05 -0700"`)
	}
	hour, minute, second := t.Clock()
	_, offset := t.Zone()
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	b = append(b, '"')
	if b = appendTwo(b, day); day < 10 {
		b[len(b)-2] = ' '
	}
	b = append(append(append(b, '-'), month.String()[:3]...), '-')
	b = append(appendTwo(appendTwo(b, year/100), year%100), ' ')
	b = append(appendTwo(b, hour), ':')
	b = append(appendTwo(b, minute), ':')
	b = append(appendTwo(b, second), ' ', sign)
	return append(appendTwo(appendTwo(b, offset/3600), offset/60%60), '"')
}

// appendTwo appends a number below 100 with two digits.
func appendTwo(b []byte, n int) []byte { return append(b, '0'+byte(n/10), '0'+byte(n%10)) }
