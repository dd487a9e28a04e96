package scheme

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/binary"
	"strings"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// cramSize is two MD5 states.
const cramSize = 2 * md5.Size

// cramHash is what CRAM-MD5 (RFC 2195) needs: the states of the two MD5s of
// HMAC (RFC 2104) behind the key. Who steals it can log in by CRAM-MD5.
type cramHash struct{ outer, inner [md5.Size]byte }

// parseCRAM reads the outer state, then the inner one.
func parseCRAM(in input) (Hash, error) {
	return cramHash{[md5.Size]byte([]byte(in.raw[:md5.Size])), [md5.Size]byte([]byte(in.raw[md5.Size:]))}, nil
}

func (h cramHash) Scheme() string { return "CRAM-MD5" }

func (h cramHash) Verify(_ *Workspace, password string) bool {
	got, err := cramStates(password)
	return err == nil && subtle.ConstantTimeCompare(got.outer[:], h.outer[:])&subtle.ConstantTimeCompare(got.inner[:], h.inner[:]) == 1
}

func generateCRAM(o order) ([]byte, error) {
	h, err := cramStates(o.password)
	return append(h.outer[:], h.inner[:]...), err
}

func cramStates(password string) (h cramHash, err error) {
	key := []byte(password)
	if len(key) > md5.BlockSize {
		sum := md5.Sum(key)
		key = sum[:]
	}
	if h.inner, err = stateAfter(key, 0x36); err == nil {
		h.outer, err = stateAfter(key, 0x5c)
	}
	return h, err
}

// stateAfter is the state of MD5 after one block of key XOR pad, as
// little-endian words.
func stateAfter(key []byte, pad byte) (state [md5.Size]byte, err error) {
	var block [md5.BlockSize]byte
	copy(block[:], key)
	for i := range block {
		block[i] ^= pad
	}
	d := md5.New()
	_, _ = d.Write(block[:])
	// crypto/md5 shows its state as a magic of four bytes and big-endian words.
	const magic = 4
	m, ok := d.(interface{ MarshalBinary() ([]byte, error) })
	if !ok {
		return state, fail.New(fail.Permanent, "CRAM-MD5: MD5 does not show its state")
	}
	b, err := m.MarshalBinary()
	if err != nil || len(b) < magic+md5.Size {
		return state, fail.New(fail.Permanent, "CRAM-MD5: MD5 does not show its state")
	}
	for i := 0; i < md5.Size; i += 4 {
		binary.LittleEndian.PutUint32(state[i:], binary.BigEndian.Uint32(b[magic+i:]))
	}
	return state, nil
}

// digestMD5Hash is H(user:realm:password), what DIGEST-MD5 (RFC 2831 section
// 2.1.2.1) needs. Who steals it can log in by DIGEST-MD5.
type digestMD5Hash struct {
	user, realm string
	want        [md5.Size]byte
}

func parseDigestMD5(in input) (Hash, error) {
	if in.user == "" {
		return nil, fail.New(fail.Invalid, "a DIGEST-MD5 hash cannot be checked without the user's name")
	}
	user, realm := splitRealm(in.user)
	return digestMD5Hash{user, realm, [md5.Size]byte([]byte(in.raw))}, nil
}

func (h digestMD5Hash) Scheme() string { return "DIGEST-MD5" }

func (h digestMD5Hash) Verify(_ *Workspace, password string) bool {
	got := digestA1(h.user, h.realm, password)
	return subtle.ConstantTimeCompare(got[:], h.want[:]) == 1
}

func generateDigestMD5(o order) ([]byte, error) {
	if o.user == "" {
		return nil, fail.New(fail.Invalid, "DIGEST-MD5 contains the user's name, which is missing")
	}
	user, realm := splitRealm(o.user)
	sum := digestA1(user, realm, o.password)
	return sum[:], nil
}

func digestA1(user, realm, password string) [md5.Size]byte {
	return md5.Sum([]byte(user + ":" + realm + ":" + password))
}

// splitRealm takes user@realm apart as Dovecot does.
func splitRealm(name string) (user, realm string) {
	if i := strings.LastIndexByte(name, '@'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return name, ""
}
