package client

import (
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/smtp/wire"
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

	// Chunks sends the content by BDAT when CHUNKING is announced (RFC 3030),
	// a small one in the same write as the recipients. Not for LMTP.
	Chunks bool

	Forward *Forward // sent when XFORWARD is announced; nil: never

	// Verify ends the transaction behind the recipients: nothing is sent, and
	// a Result is the reply to RCPT.
	Verify bool
}

// Recipient is an address with its DSN parameters.
type Recipient struct {
	To      addr.Address
	Options smtp.RcptOptions
}

// suits checks what the message needs against what the server offers.
func (c *Conn) suits(env *Envelope) error {
	if env.UTF8 && !c.has("SMTPUTF8") {
		return &CapabilityError{Keyword: "SMTPUTF8", Enhanced: smtp.EnhancedCode{5, 6, 7}}
	}
	if env.Body == smtp.Body8BitMIME && !c.has("8BITMIME") {
		return &CapabilityError{Keyword: "8BITMIME", Enhanced: smtp.EnhancedCode{5, 6, 3}}
	}
	if limit, ok := wire.Digits([]byte(c.ext["SIZE"])); ok && limit > 0 && env.Size > limit {
		return &CapabilityError{Keyword: "SIZE", Enhanced: smtp.EnhancedCode{5, 3, 4}}
	}
	return nil
}

// lines renders MAIL and all RCPT commands, with CRLF.
func (c *Conn) lines(env *Envelope) ([]string, error) {
	lines := make([]string, 0, 1+len(env.To))
	mail, err := c.mailLine(env)
	if err != nil {
		return nil, err
	}
	lines = append(lines, mail)
	for i := range env.To {
		rcpt, err := c.rcptLine(env, &env.To[i])
		if err != nil {
			return nil, err
		}
		lines = append(lines, rcpt)
	}
	return lines, nil
}

// mailLine has the parameters in Postfix's order.
func (c *Conn) mailLine(env *Envelope) (string, error) {
	path, err := path(env.From, env.UTF8)
	if err != nil {
		return "", err
	}
	b := append([]byte("MAIL FROM:"), path...)
	if env.Size > 0 && c.has("SIZE") {
		b = strconv.AppendInt(append(b, " SIZE="...), env.Size, 10)
	}
	if env.Body != "" && c.has("8BITMIME") {
		b = append(append(b, " BODY="...), env.Body...)
	}
	if c.has("DSN") {
		if env.EnvelopeID != "" {
			b = wire.AppendXtext(append(b, " ENVID="...), env.EnvelopeID)
		}
		if env.Return != "" {
			b = append(append(b, " RET="...), env.Return...)
		}
	}
	if env.UTF8 {
		b = append(b, " SMTPUTF8"...)
	}
	if c.login && c.cfg.MailAuth {
		b = append(b, " AUTH=<>"...)
	}
	return string(append(b, "\r\n"...)), nil
}

func (c *Conn) rcptLine(env *Envelope, rcpt *Recipient) (string, error) {
	path, err := path(rcpt.To, env.UTF8)
	if err != nil {
		return "", err
	}
	b := append([]byte("RCPT TO:"), path...)
	if c.has("DSN") {
		b = appendNotify(appendOriginal(b, &rcpt.Options, env.UTF8), &rcpt.Options)
	}
	return string(append(b, "\r\n"...)), nil
}

// appendNotify renders NOTIFY (RFC 3461 section 4.1).
func appendNotify(b []byte, o *smtp.RcptOptions) []byte {
	sep := " NOTIFY="
	for _, n := range o.Notify {
		b = append(append(b, sep...), n...)
		sep = ","
	}
	return b
}

// appendOriginal renders ORCPT (RFC 3461 section 4.2, RFC 6533 section 3). The
// type is sent as it is spelled (RFC 3461 section 5.2.1 (d)).
func appendOriginal(b []byte, o *smtp.RcptOptions, utf8 bool) []byte {
	if o.OriginalRecipient == "" {
		return b
	}
	b = append(append(append(b, " ORCPT="...), o.OriginalRecipientType...), ';')
	switch {
	case !strings.EqualFold(string(o.OriginalRecipientType), "utf-8"):
		return wire.AppendXtext(b, o.OriginalRecipient)
	case utf8:
		return append(b, unitext(o.OriginalRecipient)...)
	}
	return wire.AppendUnitext(b, o.OriginalRecipient)
}

// unitext is the form of RFC 6533 for SMTPUTF8 transactions: characters stand
// for themselves, but for those that the syntax needs.
func unitext(s string) []byte {
	var b []byte
	for _, r := range s {
		if r < 0x80 {
			b = wire.AppendUnitext(b, string(r))
			continue
		}
		b = append(b, string(r)...)
	}
	return b
}

// path renders an address. Without SMTPUTF8 the domain goes in its ASCII form
// and the local part must be ASCII.
func path(a addr.Address, utf8 bool) (string, error) {
	if !utf8 && a.NeedsUTF8() {
		domain, err := addr.ASCIIDomain(a.Domain)
		a.Domain = domain
		if err != nil || a.NeedsUTF8() {
			return "", &CapabilityError{Keyword: "SMTPUTF8", Enhanced: smtp.EnhancedCode{5, 6, 7}}
		}
	}
	p := a.Path()
	for i := 0; i < len(p); i++ {
		if p[i] < ' ' || p[i] == 0x7f {
			return "", fail.New(fail.Invalid, "address %q holds a control character", p)
		}
	}
	return p, nil
}
