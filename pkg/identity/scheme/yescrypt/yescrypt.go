package yescrypt

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// KeyLen is the length of a key in bytes.
const KeyLen = sha256.Size

// A large computation begins with one on a 64th of the memory, so that a
// password cannot be ruled out by its first accesses.
const (
	prehashN    = 1 << 8
	prehashWork = 1 << 17 // N*r
	prehashPart = 64
)

// Memory is that of one computation at a time. The zero value is ready and
// grows to the largest hash it has seen.
type Memory struct {
	v, x []uint64
	all  [3]table
}

// keepWords is how much memory an idle Memory holds on to: 64 MiB.
const keepWords = 8 << 20

// Wipe clears what the last computation left, and gives up memory that only an
// unusually costly hash needed.
func (m *Memory) Wipe() {
	clear(m.v)
	if len(m.v) > keepWords {
		m.v = nil
	}
	clear(m.x)
	m.all = [3]table{}
}

// grow returns the first n words of *s.
func grow(s *[]uint64, n int) []uint64 {
	if len(*s) < n {
		*s = make([]uint64, n)
	}
	return (*s)[:n]
}

// Key derives KeyLen bytes. n is a power of two, at least 4; 128*n*r bytes of
// memory are needed. The caller has checked both against its limits.
func (m *Memory) Key(password, salt []byte, n, r int) [KeyLen]byte {
	secret := password
	if n >= prehashN && n*r >= prehashWork {
		first := m.round("yescrypt-prehash", secret, salt, n/prehashPart, r)
		secret = first[:]
	}
	key := m.round("yescrypt", secret, salt, n, r)
	// What is stored is SCRAM's StoredKey, RFC 5802 section 3.
	client := mac(key[:], []byte("Client Key"))
	return sha256.Sum256(client[:])
}

// round is one computation over the memory, labelled by its purpose.
func (m *Memory) round(label string, secret, salt []byte, n, r int) [KeyLen]byte {
	key := mac([]byte(label), secret)
	block := stretch(key[:], salt, 128*r)
	copy(key[:], block)
	m.smix(block, &key, n, r)
	return [KeyLen]byte(stretch(key[:], block, KeyLen))
}

func mac(key, text []byte) [KeyLen]byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write(text)
	return [KeyLen]byte(h.Sum(nil))
}

// stretch is PBKDF2-HMAC-SHA-256 with one iteration.
func stretch(key, salt []byte, n int) []byte {
	h := hmac.New(sha256.New, key)
	out := make([]byte, 0, n+sha256.Size)
	for i := uint32(1); len(out) < n; i++ {
		h.Reset()
		_, _ = h.Write(salt)
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, i))
		out = h.Sum(out)
	}
	return out[:n]
}
