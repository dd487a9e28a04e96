package maildir

// Flags are the flags that a Maildir file name can say (Maildir's letters in
// ASCII order).
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

// AllFlags is every flag that IMAP can change.
const AllFlags = Draft | Flagged | Answered | Seen | Deleted
