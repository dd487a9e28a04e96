package hint

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Version is the first byte of each packet.
const Version = 1

// Caps of the names, in bytes.
const (
	MaxUser    = 512
	MaxMailbox = 1024
	MaxFile    = 255 // NAME_MAX

	// MaxPacket bounds a whole hint.
	MaxPacket = MaxUser + MaxMailbox + MaxFile + 64
)

// Hint is one message that was stored.
type Hint struct {
	Generation uint64 // of the sender, another one after each start
	Sequence   uint64 // from 1

	User     string // canonical name, as authd gave it
	Mailbox  string // IMAP name in UTF-8, "INBOX"
	File     string // base name in new/ or cur/, without flags
	Size     int64  // bytes of the file
	VSize    int64  // bytes with CRLF line ends
	Received time.Time
}

// check returns what is wrong with the values, of kind Invalid.
func (h *Hint) check() error {
	switch {
	case h.Sequence == 0:
		return fail.New(fail.Invalid, "hint: sequence numbers start at 1")
	case h.User == "" || len(h.User) > MaxUser || !clean(h.User):
		return fail.New(fail.Invalid, "hint: user name %.40q cannot be", h.User)
	case h.Mailbox == "" || len(h.Mailbox) > MaxMailbox || !clean(h.Mailbox):
		return fail.New(fail.Invalid, "hint: mailbox name %.40q cannot be", h.Mailbox)
	case len(h.File) > MaxFile || !fileName(h.File):
		return fail.New(fail.Invalid, "hint: file name %.40q cannot be", h.File)
	case h.Size < 0 || h.VSize < 0:
		return fail.New(fail.Invalid, "hint: sizes %d and %d cannot be", h.Size, h.VSize)
	}
	return nil
}

// clean admits UTF-8 without control characters.
func clean(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7F })
}

// fileName admits the last part of a path, less the colon that begins flags.
func fileName(s string) bool {
	return s != "" && s[0] != '.' && clean(s) && !strings.ContainsAny(s, "/:")
}
