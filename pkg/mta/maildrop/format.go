package maildrop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Envelope is what was said on the command line of sendmail(1). Addresses
// have a domain.
type Envelope struct {
	Sender     string      `json:"sender"` // empty for the null sender
	Recipients []Recipient `json:"recipients"`
	Return     string      `json:"return,omitempty"` // FULL or HDRS
	EnvelopeID string      `json:"envelope_id,omitempty"`
	EightBit   bool        `json:"8bitmime,omitempty"`
	SMTPUTF8   bool        `json:"smtputf8,omitempty"`
}

// Recipient is one recipient with its NOTIFY words.
type Recipient struct {
	To     string   `json:"to"`
	Notify []string `json:"notify,omitempty"`
}

const (
	magic       = "postcote-drop 1\n"
	suffix      = ".mail"
	tmpSuffix   = ".tmp"
	trailerSize = len("end ") + 16 + 1 + 8 + 1

	maxEnvelope   = 8 << 20
	maxRecipients = 50000
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendHead is everything before the message.
func appendHead(b []byte, env *Envelope) ([]byte, error) {
	text, err := json.Marshal(env)
	if err != nil {
		return nil, err
	}
	if err := env.check(); err != nil {
		return nil, err
	}
	if len(text) > maxEnvelope {
		return nil, fail.New(fail.Invalid, "the envelope is larger than %d bytes", maxEnvelope)
	}
	return append(append(append(b, magic...), text...), '\n'), nil
}

// parseEnvelope reads the envelope's line without its end.
func parseEnvelope(line []byte) (*Envelope, error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	env := &Envelope{}
	if err := dec.Decode(env); err != nil {
		return nil, fail.Wrap(fail.Corrupt, err, "envelope")
	}
	if dec.More() {
		return nil, fail.New(fail.Corrupt, "envelope: more than one value")
	}
	return env, env.check()
}

func (e *Envelope) check() error {
	if n := len(e.Recipients); n == 0 || n > maxRecipients {
		return fail.New(fail.Corrupt, "envelope: %d recipients, want 1 to %d", n, maxRecipients)
	}
	texts := []string{e.Sender, e.Return, e.EnvelopeID}
	for i := range e.Recipients {
		texts = append(append(texts, e.Recipients[i].To), e.Recipients[i].Notify...)
	}
	for _, s := range texts {
		if strings.ContainsAny(s, "\x00\r\n") {
			return fail.New(fail.Corrupt, "envelope: a line end or a zero byte in %q", s)
		}
	}
	return nil
}

// trailer ends a file: the length of the message and the checksum of all
// bytes before the trailer.
func trailer(length int64, sum uint32) []byte {
	return fmt.Appendf(nil, "end %016x %08x\n", length, sum)
}

func parseTrailer(b []byte) (length int64, sum uint32, err error) {
	if _, err := fmt.Sscanf(string(b), "end %016x %08x\n", &length, &sum); err != nil || !bytes.Equal(trailer(length, sum), b) {
		return 0, 0, fail.New(fail.Corrupt, "the end is missing")
	}
	return length, sum, nil
}
