package item

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is what became of a recipient.
type Status uint8

// The states of a recipient. Delivered, Failed and Expired are final.
const (
	Pending   Status = iota // not tried yet, or to be tried again at once
	Deferred                // failed for now, Next says when to try again
	Delivered               // the next hop took it
	Failed                  // the next hop refused it for good
	Expired                 // it stayed deferred for too long
)

var statusNames = [...]string{"pending", "deferred", "delivered", "failed", "expired"}

// String returns the lower-case name.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown"
}

// MarshalText gives the name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Final reports whether nothing more will be tried.
func (s Status) Final() bool { return s >= Delivered }

// Code is an enhanced status code (RFC 3463); the zero value means none.
type Code struct{ Class, Subject, Detail uint16 }

// String returns "5.1.1", or "" for none.
func (c Code) String() string {
	if c == (Code{}) {
		return ""
	}
	return strconv.Itoa(int(c.Class)) + "." + strconv.Itoa(int(c.Subject)) + "." + strconv.Itoa(int(c.Detail))
}

// ParseCode reads "X.Y.Z" with class 2, 4 or 5 and up to three digits each
// for the others.
func ParseCode(s string) (Code, bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || len(parts[0]) != 1 || !strings.Contains("245", parts[0]) {
		return Code{}, false
	}
	var n [3]uint16
	for i, p := range parts {
		if p == "" || len(p) > 3 {
			return Code{}, false
		}
		v, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return Code{}, false
		}
		n[i] = uint16(v)
	}
	return Code{n[0], n[1], n[2]}, true
}

// Caps on the texts of a State; longer ones are cut. RFC 5321 section
// 4.5.3.1.5 allows reply lines of 512 bytes.
const (
	MaxReason     = 1000
	MaxDiagnostic = 1000
	MaxRemote     = 255
)

// State is what is known of one recipient.
type State struct {
	Status     Status
	Attempts   uint16
	Code       Code      // of the last attempt
	Reason     string    // of the last attempt, for people: "host mx[192.0.2.1] said: 450 ..."
	Diagnostic string    // the next hop's reply as it came, for the Diagnostic-Code field; may be empty
	Remote     string    // host name of the next hop, for the Remote-MTA field; may be empty
	Last       time.Time // of the last attempt, to the second
	Next       time.Time // of the next attempt (Deferred only), to the second
	Relayed    bool      // delivered to a host that takes over success notification (RFC 3461 section 4.1)
	Notified   bool      // the sender has been told, or needs not be
}

// Clean cuts texts to their caps, keeps them valid UTF-8 without control
// characters, and rounds times to seconds, so that a State equals its
// decoded encoding.
func (s *State) Clean() {
	s.Reason = cut(s.Reason, MaxReason)
	s.Diagnostic = cut(s.Diagnostic, MaxDiagnostic)
	s.Remote = cut(s.Remote, MaxRemote)
	s.Last = second(s.Last)
	s.Next = second(s.Next)
	if s.Status != Deferred {
		s.Next = time.Time{}
	}
}

func second(t time.Time) time.Time {
	if t.IsZero() || t.Unix() <= 0 {
		return time.Time{}
	}
	return time.Unix(t.Unix(), 0)
}

func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
			s = s[:len(s)-1]
		}
		if len(s) > 0 && s[len(s)-1] >= utf8.RuneSelf {
			s = s[:len(s)-1] // the first byte of the rune that was cut
		}
	}
	bad := func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }
	if strings.IndexFunc(s, bad) < 0 {
		return s
	}
	out := strings.Map(func(r rune) rune {
		if bad(r) {
			return '?'
		}
		return r
	}, s)
	return out
}
