package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// MaxRecord bounds what is sealed, MaxToken the token of that.
const (
	MaxRecord = 2048
	MaxToken  = 4096
)

// MaxName bounds a key's name in bytes.
const MaxName = 32

// Key is known to the two ends of a connection. It is never logged.
type Key [32]byte

// NewKey returns a fresh key and a name for it, which tells nothing about it.
func NewKey() (k Key, name string) {
	_, _ = rand.Read(k[:]) // never fails, see crypto/rand
	return k, rand.Text()
}

// Hex is the key as the protocol has it.
func (k *Key) Hex() string { return hex.EncodeToString(k[:]) }

// ParseKey reads what Hex wrote. The error does not show the key.
func ParseKey(s string) (k Key, err error) {
	if b, err := hex.DecodeString(s); err == nil && len(b) == len(k) {
		return Key(b), nil
	}
	return Key{}, fail.New(fail.Invalid, "a key of %d digits that is none", len(s))
}

// Login is what authd calls a login that it has granted.
type Login struct{ ClientPID, RequestID uint32 }

// additional is what a token is good for and does not hold.
func (l Login) additional() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(make([]byte, 0, 8), l.ClientPID), l.RequestID)
}

func (k *Key) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// nonce is a token's number: no two of one key have the same.
func nonce(number uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), number)
}

// Sealer makes tokens. It is safe for concurrent use. There is one for each key.
type Sealer struct {
	aead cipher.AEAD
	last atomic.Uint64
}

// NewSealer makes the only sealer of a key.
func NewSealer(k Key) (*Sealer, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return &Sealer{aead: aead}, nil
}

// Seal makes the token of a login: its number, and behind it, sealed, when it
// expires and the record. A record over MaxRecord has none, which is "".
func (s *Sealer) Seal(l Login, record []byte, expires time.Time) string {
	if len(record) > MaxRecord {
		return ""
	}
	plain := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(record)), uint64(expires.UnixMilli()))
	plain = append(plain, record...)
	number := s.last.Add(1)
	token := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(plain)+s.aead.Overhead()), number)
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(token, nonce(number), plain, l.additional()))
}

// Opener opens tokens, each once. It is safe for concurrent use.
type Opener struct {
	aead cipher.AEAD

	mu   sync.Mutex
	used window
}

// NewOpener makes the only opener of a key.
func NewOpener(k Key) (*Opener, error) {
	aead, err := k.aead()
	if err != nil {
		return nil, err
	}
	return &Opener{aead: aead}, nil
}

// Open returns the record in a token. The error is of kind Denied: the token is
// of another key or another login, was used, or has expired.
func (o *Opener) Open(l Login, token string, now time.Time) (record []byte, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < 8 || len(token) > MaxToken {
		return nil, fail.New(fail.Denied, "login %d of client with pid %d: not a token", l.RequestID, l.ClientPID)
	}
	number := binary.BigEndian.Uint64(raw)
	plain, err := o.aead.Open(nil, nonce(number), raw[8:], l.additional())
	if err != nil || len(plain) < 8 {
		return nil, fail.New(fail.Denied, "login %d of client with pid %d: the token is not of the auth service, or of another login", l.RequestID, l.ClientPID)
	}
	o.mu.Lock()
	first := o.used.take(number)
	o.mu.Unlock()
	if !first {
		return nil, fail.New(fail.Denied, "login %d of client with pid %d is used, or very old", l.RequestID, l.ClientPID)
	}
	if !now.Before(time.UnixMilli(int64(binary.BigEndian.Uint64(plain)))) {
		return nil, fail.New(fail.Denied, "login %d of client with pid %d has expired", l.RequestID, l.ClientPID)
	}
	return plain[8:], nil
}
