package message

import (
	"strconv"
	"strings"
	"time"
)

// ParseDate reads a Date field as leniently as mail requires: RFC 5322 with
// its obsolete forms, comments, missing seconds, missing day names, two-digit
// years, named zones. An unknown zone counts as UTC (RFC 5322 section 4.3), a
// time that is none as 00:00:00 (RFC 5256 section 2.2).
func ParseDate(value string) (time.Time, bool) {
	t := scanner{s: value}
	var room [8]string
	w := room[:0]
	for len(w) < len(room) {
		t.skipSpace()
		if t.accept(',') {
			continue
		}
		x := t.until(stops{low: blanks | lineEnds | 1<<',' | 1<<'('})
		if x == "" {
			break
		}
		w = append(w, x)
	}
	if len(w) > 0 && !digit(w[0][0]) {
		w = w[1:] // day of week
	}
	if len(w) > 0 && strings.Count(w[0], "-") == 2 { // 1-Jan-2024, as IMAP writes it
		w = append(strings.SplitN(w[0], "-", 3), w[1:]...)
	}
	if len(w) < 3 {
		return time.Time{}, false
	}
	day, err1 := strconv.Atoi(w[0])
	month := monthOf(w[1])
	year, err2 := strconv.Atoi(w[2])
	if err1 != nil || err2 != nil || month == 0 || day < 1 || day > 31 || year < 0 || year > 9999 {
		return time.Time{}, false
	}
	switch { // RFC 5322 section 4.3
	case year < 50:
		year += 2000
	case year < 1000:
		year += 1900
	}
	clock := [3]int{}
	if len(w) > 3 && !parseClock(w[3], &clock) {
		clock = [3]int{} // RFC 5256 section 2.2
	}
	zone := time.UTC
	if len(w) > 4 {
		zone = parseZone(w[4])
	}
	return time.Date(year, month, day, clock[0], clock[1], clock[2], 0, zone), true
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func monthOf(s string) time.Month {
	if len(s) < 3 {
		return 0
	}
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	for i := 0; i < len(names); i += 3 {
		if strings.EqualFold(names[i:i+3], s[:3]) {
			return time.Month(i/3 + 1)
		}
	}
	return 0
}

func parseClock(s string, out *[3]int) bool {
	for i, limit := range [3]int{23, 59, 60} {
		part, end := s, strings.IndexAny(s, ":.")
		if end >= 0 {
			part = s[:end]
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 || n > limit {
			return false
		}
		out[i] = n
		if end < 0 {
			return i > 0
		}
		s = s[end+1:]
	}
	return true
}

func parseZone(s string) *time.Location {
	if len(s) == 5 && (s[0] == '+' || s[0] == '-') {
		n, err := strconv.Atoi(s[1:])
		if err != nil || n < 0 || n/100 > 23 || n%100 > 59 {
			return time.UTC
		}
		secs := (n/100*60 + n%100) * 60
		if s[0] == '-' {
			secs = -secs
		}
		return time.FixedZone("", secs)
	}
	hours, known := map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}[strings.ToUpper(s)]
	if !known {
		return time.UTC
	}
	return time.FixedZone("", hours*3600)
}
