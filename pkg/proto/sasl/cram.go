package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strings"

	gosasl "github.com/emersion/go-sasl"
)

// NewCRAMMD5Server serves CRAM-MD5, RFC 2195:
//
//	response = user SP 32LHEX
func NewCRAMMD5Server(b Backend, set Setting) gosasl.Server {
	s := &asked{mech: "CRAM-MD5", challenge: func() string {
		return "<" + set.random() + "@" + set.host() + ">"
	}}
	s.take = func(response []byte) ([]byte, error) {
		user, proof, err := parseCRAM(response)
		if err != nil {
			return nil, err
		}
		secret, err := b.Secret(Identity{Authcid: user}, SecretCRAMMD5)
		if err != nil {
			return nil, err
		}
		want := cramDigest(secret.Inner, secret.Outer, s.sent)
		return nil, prove(b, hmac.Equal(want[:], proof))
	}
	return s
}

// parseCRAM: the user's name may contain spaces, the digest does not.
func parseCRAM(response []byte) (user string, proof []byte, err error) {
	i := bytes.LastIndexByte(response, ' ')
	if i < 0 {
		return "", nil, malformed("CRAM-MD5", "no space before the digest")
	}
	user = string(response[:i])
	if err := checkName("CRAM-MD5", user); err != nil {
		return "", nil, err
	}
	proof, err = hex.DecodeString(string(response[i+1:]))
	if err != nil || len(proof) != md5.Size {
		return "", nil, malformed("CRAM-MD5", "digest is not 32 hexadecimal digits")
	}
	return user, proof, nil
}

// cramStates are the two halves of HMAC-MD5 (RFC 2104) before the text: the
// MD5 states after the padded key. Who has them needs no password.
func cramStates(password string) (inner, outer [16]byte) {
	key := []byte(password)
	if len(key) > md5.BlockSize {
		sum := md5.Sum(key)
		key = sum[:]
	}
	return md5State(key, 0x36), md5State(key, 0x5c)
}

func md5State(key []byte, pad byte) (state [16]byte) {
	block := bytes.Repeat([]byte{pad}, md5.BlockSize)
	subtle.XORBytes(block, block, key)
	h := md5.New()
	_, _ = h.Write(block)
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return state
	}
	saved, err := m.MarshalBinary()
	if err != nil || len(saved) < len(md5Magic)+len(state) {
		return state
	}
	swapWords(state[:], saved[len(md5Magic):])
	return state
}

// md5Magic is how crypto/md5 begins a saved state. The four words (big-endian),
// the unfinished block and the length follow.
const md5Magic = "md5\x01"

// md5From is a hash that has taken one block, after which its state was state.
func md5From(state [16]byte) hash.Hash {
	h := md5.New()
	saved := make([]byte, len(md5Magic)+md5.Size+md5.BlockSize+8)
	copy(saved, md5Magic)
	swapWords(saved[len(md5Magic):], state[:])
	binary.BigEndian.PutUint64(saved[len(saved)-8:], md5.BlockSize)
	if u, ok := h.(encoding.BinaryUnmarshaler); ok {
		_ = u.UnmarshalBinary(saved) // a test knows when Go changes the form
	}
	return h
}

// swapWords turns little-endian words into big-endian ones or back.
func swapWords(dst, src []byte) {
	for i := 0; i < md5.Size; i += 4 {
		binary.BigEndian.PutUint32(dst[i:], binary.LittleEndian.Uint32(src[i:]))
	}
}

// cramDigest is the HMAC of challenge.
func cramDigest(inner, outer [16]byte, challenge string) (sum [16]byte) {
	in, out := md5From(inner), md5From(outer)
	_, _ = in.Write([]byte(challenge))
	_, _ = out.Write(in.Sum(nil))
	return [16]byte(out.Sum(sum[:0]))
}

type cramClient struct {
	c    Credentials
	step step
}

// NewCRAMMD5Client authenticates with CRAM-MD5. Authzid is not expressible and
// ignored.
func NewCRAMMD5Client(c Credentials) gosasl.Client { return &cramClient{c: c} }

func (c *cramClient) Start() (mech string, ir []byte, err error) {
	c.step = stepFirst
	return "CRAM-MD5", nil, nil
}

func (c *cramClient) Next(challenge []byte) ([]byte, error) {
	if c.step != stepFirst || len(challenge) == 0 || len(challenge) > MaxResponse {
		return nil, gosasl.ErrUnexpectedServerChallenge
	}
	c.step = stepOver
	inner, outer := cramStates(c.c.Password)
	sum := cramDigest(inner, outer, string(challenge))
	return []byte(c.c.Authcid + " " + hex.EncodeToString(sum[:])), nil
}

// random makes 26 letters and digits that nobody can guess.
func (s Setting) random() string {
	if s.nonce != nil {
		return s.nonce()
	}
	return rand.Text()
}

func (s Setting) host() string {
	if s.Host == "" {
		return "localhost"
	}
	return strings.Trim(s.Host, "<>@")
}
