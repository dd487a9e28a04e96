package authserver

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// tokens makes auth_token values: what Dovecot's imap process shows to
// imap-urlauth to prove for whom it works. They are good as long as this
// process lives.
type tokens struct{ key [32]byte }

func newTokens() tokens {
	var t tokens
	_, _ = rand.Read(t.key[:]) // never fails, see crypto/rand
	return t
}

// of returns the token of a redeemed login: as long as Dovecot's, 40
// hexadecimal digits.
func (t *tokens) of(gr grant, sessionPID, user string) string {
	h := hmac.New(sha256.New, t.key[:])
	for _, part := range []string{user, sessionPID, gr.session, gr.service} {
		_ = binary.Write(h, binary.LittleEndian, uint64(len(part)))
		_, _ = h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}
