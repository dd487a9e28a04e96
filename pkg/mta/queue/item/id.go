package item

import (
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// ID names a message in the queue. It is the time of its making in units of
// 1/1024 microsecond, made unique by counting up; ids only ever grow, also
// across restarts and when the clock is set back.
//
// Its text looks like a long Postfix queue id (letters and digits only, case
// matters), because fail2ban, pflogsumm and other readers of logs expect that:
// six characters of seconds, four of microseconds, "z", two of counter.
type ID uint64

const (
	// digits52 has no vowels, so that no word appears; "z" comes last and is
	// left out of base 51, where it marks the border.
	digits52 = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
	idText   = 13
	perUsec  = 1024
)

// IDAt returns the smallest id that time t can give.
func IDAt(t time.Time) ID { return ID(max(t.UnixMicro(), 0)) * perUsec }

// Time is when the id was made, to the microsecond.
func (id ID) Time() time.Time { return time.UnixMicro(int64(id / perUsec)) }

// String returns the text of the id, 13 characters or, from the year 2595 on, more.
func (id ID) String() string {
	usec, n := uint64(id/perUsec), uint64(id%perUsec)
	var b [24]byte
	i := len(b)
	put := func(v uint64, base uint64, width int) {
		for ; width > 0 || v > 0; width-- {
			i--
			b[i] = digits52[v%base]
			v /= base
		}
	}
	put(n, 51, 2)
	i--
	b[i] = 'z'
	put(usec%1e6, 52, 4)
	put(usec/1e6, 52, 6)
	return string(b[i:])
}

// ParseID reads the text of an id. Errors are of kind fail.Invalid.
func ParseID(s string) (ID, error) {
	if len(s) < idText || len(s) > idText+1 || s[len(s)-3] != 'z' {
		return 0, badID(s)
	}
	head := len(s) - 7
	sec, ok1 := number(s[:head], 52)
	usec, ok2 := number(s[head:head+4], 52)
	n, ok3 := number(s[len(s)-2:], 51)
	if !ok1 || !ok2 || !ok3 || usec >= 1e6 || n >= perUsec || sec > (1<<54-1)/1_000_000 {
		return 0, badID(s)
	}
	id := ID(sec*1e6+usec)*perUsec + ID(n)
	if id.String() != s {
		return 0, badID(s)
	}
	return id, nil
}

func badID(s string) error {
	if len(s) > 40 {
		s = s[:40]
	}
	return fail.New(fail.Invalid, "queue id %q: malformed", s)
}

func number(s string, base uint64) (v uint64, ok bool) {
	for i := 0; i < len(s); i++ {
		d := uint64(indexDigit(s[i]))
		if d >= base {
			return 0, false
		}
		v = v*base + d
	}
	return v, true
}

func indexDigit(c byte) int {
	for i := 0; i < len(digits52); i++ {
		if digits52[i] == c {
			return i
		}
	}
	return len(digits52)
}

// MarshalText makes ids readable in JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) error {
	v, err := ParseID(string(text))
	*id = v
	return err
}
