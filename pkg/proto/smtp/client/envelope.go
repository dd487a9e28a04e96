package client

import (
	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/addr"
)

// Envelope is one transaction.
type Envelope struct {
	From addr.Address
	To   []Recipient

	Size       int64         // of the content, sent when SIZE is announced; 0: unknown
	Body       smtp.BodyType // Body8BitMIME needs 8BITMIME; else a CapabilityError
	UTF8       bool          // header or envelope need SMTPUTF8; else a CapabilityError
	Return     smtp.DSNReturn
	EnvelopeID string // decoded; sent as xtext when DSN is announced
}

// Recipient is an address with its DSN parameters.
type Recipient struct {
	To      addr.Address
	Options smtp.RcptOptions
}
