package message

import (
	"strings"
	"testing"
)

func TestUntilStopsAtTheBytesOfItsSet(t *testing.T) {
	for chars, set := range map[string]stops{
		"()<>@,;:\" \t\r\n":   {low: special, high: atSign},
		"()<>@,;:\"[] \t\r\n": {low: special, high: atSign | brackets},
		" \t\r\n":             {low: blanks | lineEnds},
		"":                    {},
	} {
		for b := range 256 {
			s := "a" + string([]byte{byte(b)}) + "z"
			want := s
			if strings.IndexByte(chars, byte(b)) >= 0 {
				want = "a"
			}
			sc := scanner{s: s}
			if got := sc.until(set); got != want || sc.pos != len(want) {
				t.Errorf("until(%q) in %q: %q at %d", chars, s, got, sc.pos)
			}
		}
	}
}
