package maildir

import "strings"

// Flags are the flags that a Maildir file name can say, in the ASCII order of
// their letters.
type Flags uint8

// The flags. Passed has no IMAP name; it is kept for programs that set it.
const (
	Draft    Flags = 1 << iota // D
	Flagged                    // F
	Passed                     // P
	Answered                   // R
	Seen                       // S
	Deleted                    // T
)

const flagLetters = "DFPRST"

// AllFlags is every flag that IMAP can change.
const AllFlags = Draft | Flagged | Answered | Seen | Deleted

func flagOf(letter byte) Flags {
	if i := strings.IndexByte(flagLetters, letter); i >= 0 {
		return 1 << i
	}
	return 0
}

// String is the flags' letters.
func (f Flags) String() string {
	var out []byte
	for i := range len(flagLetters) {
		if f&(1<<i) != 0 {
			out = append(out, flagLetters[i])
		}
	}
	return string(out)
}
