package digest

import (
	"time"

	"github.com/postcote/postcote/pkg/platform/message"
)

// MaxKey is how many bytes of a value take part in an order. What differs only
// behind them counts as equal.
const MaxKey = 512

// Keys are what SORT and THREAD compare of one message. Strings are collated
// (see Collate) and at most some MaxKey bytes long.
type Keys struct {
	// Sent is the Date field (RFC 5256 section 2.2); zero when there is none
	// that can be read: INTERNALDATE counts then.
	Sent time.Time
	// Subject is the base subject (section 2.1). Reply says that something
	// was removed that marks a reply or a forward.
	Subject string
	Reply   bool
	// From, To and Cc are the local part of the first address; DisplayFrom
	// and DisplayTo what RFC 5957 section 3 makes of it.
	From, To, Cc           string
	DisplayFrom, DisplayTo string
	// MessageID is the hash of the Message-ID, 0 when there is none that is
	// valid. References are those of the References field, in its order, or
	// else the first of In-Reply-To.
	MessageID  uint64
	References []uint64
}

// KeysOf takes the keys from a message's header.
func KeysOf(h message.Header) Keys {
	var k Keys
	if date, ok := message.ParseDate(h.Get("Date")); ok {
		k.Sent = date
	}
	var base string
	base, k.Reply = BaseSubject(message.DecodeWords(clip(h.Get("Subject"))))
	k.Subject = Collate(base)
	var display string
	k.From, display = firstAddress(h, "From")
	k.DisplayFrom = display
	k.To, display = firstAddress(h, "To")
	k.DisplayTo = display
	k.Cc, _ = firstAddress(h, "Cc")
	k.MessageID = messageID(h.Get("Message-ID"))
	k.References = references(h)
	return k
}

// clip keeps what MaxKey characters can come from, encoded as they may be.
func clip(s string) string { return s[:min(len(s), 16*MaxKey)] }

// firstAddress returns the two sort keys of an address field.
func firstAddress(h message.Header, name string) (mailbox, display string) {
	for f := range h.All(name) {
		list := message.ParseAddresses(clip(f.Value()), 1)
		if len(list) == 0 {
			continue
		}
		a := list[0]
		shown := message.DecodeWords(a.Name)
		switch {
		case a.Kind == message.GroupStart, shown == "" && a.Host == "":
			shown = a.Mailbox
		case shown == "":
			shown = a.Mailbox + "@" + a.Host
		}
		return Collate(a.Mailbox), Collate(shown)
	}
	return "", ""
}
