package digest

import (
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/message/collate"
)

// Collate maps a string so that comparing bytes is comparing as SORT and
// THREAD do (see collate.Key). Beyond MaxKey bytes it is cut.
func Collate(s string) string {
	if len(s) > MaxKey {
		n := MaxKey
		for n > MaxKey-utf8.UTFMax && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	key := collate.Key(s)
	return key[:min(len(key), 2*MaxKey)] // one character may decompose to many
}
