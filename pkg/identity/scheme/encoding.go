package scheme

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// encoding is how the bytes of a hash are written.
type encoding uint8

const (
	asIs encoding = iota
	asBase64
	asHex
)

func (e encoding) String() string { return [...]string{"plain", "base64", "hexadecimal"}[e] }

// encodingOf is the encoding that a suffix of a scheme's name asks for.
func encodingOf(suffix string) (encoding, bool) {
	switch strings.ToLower(suffix) {
	case "b64", "base64":
		return asBase64, true
	case "hex":
		return asHex, true
	}
	return asIs, false
}

// findEncoded looks up SCHEME or SCHEME.encoding.
func findEncoded(name string) (r row, suffix string, err error) {
	base, suffix, dotted := strings.Cut(name, ".")
	r, ok := find(base)
	if !ok {
		return row{}, "", fail.New(fail.Invalid, "password scheme %.32q is not supported", base)
	}
	if _, ok := encodingOf(suffix); dotted && !ok {
		return row{}, "", fail.New(fail.Invalid, "password encoding %.16q is not supported, only b64, base64, hex", suffix)
	}
	return r, suffix, nil
}

// decode undoes the encoding that the suffix names, or else the scheme's own.
// Where the scheme has one and all its hashes are of one length, hexadecimal
// and base64 are told apart by it, as Dovecot does.
func (r row) decode(body, suffix string) (string, error) {
	enc, ok := encodingOf(suffix)
	if !ok {
		enc = r.enc
		if enc != asIs && r.size > 0 {
			enc = asBase64
			if len(body) == 2*r.size {
				enc = asHex
			}
		}
	}
	raw, err := enc.decode(body)
	if err != nil {
		return "", fail.New(fail.Invalid, "stored password of scheme %s is not %s", r.name, enc)
	}
	if r.size > 0 && len(raw) != r.size {
		return "", fail.New(fail.Invalid, "stored password of scheme %s has %d bytes instead of %d", r.name, len(raw), r.size)
	}
	return string(raw), nil
}

func (e encoding) decode(body string) ([]byte, error) {
	switch e {
	case asBase64:
		// Padding is left out by some programs, white space is put in.
		return base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(body), "="))
	case asHex:
		return hex.DecodeString(body)
	}
	return []byte(body), nil
}

// encode writes a hash under a name with the suffix.
func (r row) encode(raw []byte, suffix string) string {
	enc, ok := encodingOf(suffix)
	if !ok {
		enc = r.enc
	}
	switch enc {
	case asBase64:
		return base64.StdEncoding.EncodeToString(raw)
	case asHex:
		return hex.EncodeToString(raw)
	}
	return string(raw)
}
