package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"strconv"
	"strings"

	gosasl "github.com/emersion/go-sasl"
	"github.com/xdg-go/stringprep"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Caps on one SCRAM message.
const (
	maxAttributes = 16
	maxNonce      = 256
	maxSalt       = 256
)

// scram is one of the mechanisms of RFC 5802 and RFC 7677.
type scram struct {
	name string
	kind SecretKind
	hash func() hash.Hash
	plus bool
}

func scramSHA1() scram   { return scram{"SCRAM-SHA-1", SecretSCRAMSHA1, sha1.New, false} }
func scramSHA256() scram { return scram{"SCRAM-SHA-256", SecretSCRAMSHA256, sha256.New, false} }

// withPlus is the variant with channel binding.
func (h scram) withPlus() scram {
	h.name += "-PLUS"
	h.plus = true
	return h
}

func serveSHA1(b Backend, set Setting) gosasl.Server { return scramSHA1().server(b, set) }
func serveSHA1Plus(b Backend, set Setting) gosasl.Server {
	return scramSHA1().withPlus().server(b, set)
}
func serveSHA256(b Backend, set Setting) gosasl.Server { return scramSHA256().server(b, set) }
func serveSHA256Plus(b Backend, set Setting) gosasl.Server {
	return scramSHA256().withPlus().server(b, set)
}

func (h scram) server(b Backend, set Setting) gosasl.Server {
	return &scramServer{scram: h, backend: b, set: set}
}

func (h scram) mac(key []byte, text string) []byte {
	m := hmac.New(h.hash, key)
	_, _ = m.Write([]byte(text))
	return m.Sum(nil)
}

func (h scram) sum(b []byte) []byte {
	d := h.hash()
	_, _ = d.Write(b)
	return d.Sum(nil)
}

// keys derives the client's and the server's key from a password (section 3).
func (h scram) keys(password string, salt []byte, iter int) (client, server []byte) {
	salted, err := pbkdf2.Key(h.hash, prepared(password), salt, iter, h.hash().Size())
	if err != nil {
		return nil, nil // no length or count we pass is refused
	}
	return h.mac(salted, "Client Key"), h.mac(salted, "Server Key")
}

func (h scram) secret(password string, salt []byte, iter int) Secret {
	client, server := h.keys(password, salt, iter)
	return Secret{Salt: salt, Iter: iter, StoredKey: h.sum(client), ServerKey: server}
}

// prepared is SASLprep, RFC 4013. What it forbids (control characters,
// unassigned code points, broken UTF-8, nothing at all) is taken as it is, as libpq does: a
// password that works elsewhere must not fail here.
func prepared(s string) string {
	if p, err := stringprep.SASLprep.Prepare(s); err == nil && p != "" {
		return p
	}
	return s
}

// scramServer is the server side. Names are not prepared: PLAIN does not do it
// either, and one user must not have two names.
type scramServer struct {
	scram
	backend Backend
	set     Setting
	step    step
	asked   bool

	input  []byte // what the client has to repeat as c=
	bare   string // client-first-message-bare
	first  string // server-first-message
	nonce  string
	secret Secret
}

func (s *scramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	step := s.step
	if response == nil && step == stepFirst && !s.asked {
		s.asked = true
		return []byte{}, false, nil
	}
	s.step = stepOver
	if len(response) > MaxResponse {
		return nil, false, malformed(s.name, "too long")
	}
	switch step {
	case stepFirst:
		if challenge, err = s.clientFirst(string(response)); err == nil {
			s.step = stepProof
		}
		return challenge, false, err
	case stepProof:
		challenge, err = s.clientFinal(string(response))
		return challenge, err == nil, err
	}
	return nil, false, gosasl.ErrUnexpectedClientResponse
}

// clientFirst: client-first-message = gs2-cbind-flag "," [authzid] ","
// "n=" username "," "r=" nonce ["," extensions].
func (s *scramServer) clientFirst(message string) ([]byte, error) {
	part := strings.SplitN(message, ",", 3)
	if len(part) != 3 {
		return nil, malformed(s.name, "no GS2 header")
	}
	id, err := s.identity(part[1], part[2])
	if err != nil {
		return nil, err
	}
	binding, err := s.binding(part[0])
	if err != nil {
		return nil, err
	}
	if s.secret, err = s.backend.Secret(id, s.kind); err != nil {
		return nil, err
	}
	if size := s.hash().Size(); len(s.secret.StoredKey) != size || len(s.secret.ServerKey) != size || s.secret.Iter < 1 {
		return nil, fail.New(fail.Temporary, "%s: the stored secret is not one of %s", s.name, s.kind)
	}
	s.input = append([]byte(part[0]+","+part[1]+","), binding...)
	s.bare = part[2]
	s.nonce += s.set.random()
	s.first = "r=" + s.nonce + ",s=" + base64.StdEncoding.EncodeToString(s.secret.Salt) + ",i=" + strconv.Itoa(s.secret.Iter)
	return []byte(s.first), nil
}

// identity reads the names and notes the client's nonce.
func (s *scramServer) identity(authzid, bare string) (id Identity, err error) {
	attrs, ok := attributes(bare)
	if !ok || len(attrs) < 2 || attrs[0].key != 'n' || attrs[1].key != 'r' {
		return id, malformed(s.name, "not a name, a nonce and known extensions")
	}
	if s.nonce = attrs[1].value; !validNonce(s.nonce) {
		return id, malformed(s.name, "bad nonce")
	}
	if id.Authcid, ok = unescapeName(attrs[0].value); !ok {
		return id, malformed(s.name, "bad escape in a name")
	}
	if authzid != "" {
		name, found := strings.CutPrefix(authzid, "a=")
		if id.Authzid, ok = unescapeName(name); !ok || !found || name == "" {
			return id, malformed(s.name, "bad authorization identity")
		}
	}
	return id, id.check(s.name)
}

// binding is the data that goes with the client's flag (section 6).
func (s *scramServer) binding(flag string) ([]byte, error) {
	kind, bound := strings.CutPrefix(flag, "p=")
	switch {
	case !bound && flag != "n" && flag != "y":
		return nil, malformed(s.name, "bad channel binding flag")
	case bound != s.plus:
		return nil, malformed(s.name, "channel binding flag does not fit the mechanism")
	case flag == "y" && s.set.PlusOffered:
		return nil, malformed(s.name, "client saw no mechanism with channel binding, but one was offered")
	case !bound:
		return nil, nil
	case kind != BindingExporter && kind != BindingEndPoint:
		return nil, malformed(s.name, "unknown type of channel binding")
	}
	data, err := s.backend.ChannelBinding(kind)
	if err == nil && len(data) == 0 {
		err = fail.New(fail.Temporary, "%s: no channel binding is known", s.name)
	}
	return data, err
}

// clientFinal: client-final-message = "c=" base64 ",r=" nonce
// ["," extensions] ",p=" base64. Whatever is wrong with it counts as a wrong
// proof.
func (s *scramServer) clientFinal(message string) ([]byte, error) {
	signature, ok := s.check(message)
	if err := prove(s.backend, ok); err != nil {
		return nil, err
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(signature)), nil
}

func (s *scramServer) check(message string) (signature []byte, ok bool) {
	end := strings.LastIndex(message, ",p=")
	if end < 0 {
		return nil, false
	}
	unproved := message[:end]
	proof, err := base64.StdEncoding.DecodeString(message[end+len(",p="):])
	attrs, ok := attributes(unproved)
	if err != nil || !ok || len(attrs) < 2 || attrs[0].key != 'c' || attrs[1].key != 'r' {
		return nil, false
	}
	input, err := base64.StdEncoding.DecodeString(attrs[0].value)
	if err != nil || !hmac.Equal(input, s.input) || attrs[1].value != s.nonce {
		return nil, false
	}
	text := s.bare + "," + s.first + "," + unproved
	for _, k := range append([]SCRAMKeys{{StoredKey: s.secret.StoredKey, ServerKey: s.secret.ServerKey}}, s.secret.Others...) {
		if signature, ok = s.compare(k, text, proof); ok {
			if k.Used != nil {
				k.Used()
			}
			return signature, true
		}
	}
	return nil, false
}

func (s *scramServer) compare(k SCRAMKeys, text string, proof []byte) (signature []byte, ok bool) {
	if len(proof) != len(k.StoredKey) {
		return nil, false
	}
	key := s.mac(k.StoredKey, text)
	subtle.XORBytes(key, key, proof)
	return s.mac(k.ServerKey, text), hmac.Equal(s.sum(key), k.StoredKey)
}

// attribute is one letter and a value.
type attribute struct {
	key   byte
	value string
}

// attributes splits a message. A mandatory extension ("m=") that we do not
// know must end the exchange, and we know none (section 5.1).
func attributes(s string) ([]attribute, bool) {
	parts := strings.SplitN(s, ",", maxAttributes+1)
	if len(parts) > maxAttributes {
		return nil, false
	}
	out := make([]attribute, len(parts))
	for i, p := range parts {
		letter := len(p) > 2 && p[1] == '=' && (p[0]|0x20 >= 'a' && p[0]|0x20 <= 'z')
		if !letter || p[0] == 'm' || strings.IndexByte(p, 0) >= 0 {
			return nil, false
		}
		out[i] = attribute{p[0], p[2:]}
	}
	return out, true
}

// validNonce: printable ASCII without comma.
func validNonce(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x21 || s[i] > 0x7E || s[i] == ',' {
			return false
		}
	}
	return s != "" && len(s) <= maxNonce
}

// unescapeName undoes escapeName; any other use of "=" is refused (RFC 5801
// section 4).
func unescapeName(s string) (string, bool) {
	var b bytes.Buffer
	for {
		before, after, found := strings.Cut(s, "=")
		b.WriteString(before)
		switch {
		case !found:
			return b.String(), true
		case strings.HasPrefix(after, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(after, "3D"):
			b.WriteByte('=')
		default:
			return "", false
		}
		s = after[2:]
	}
}

func escapeName(s string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s)
}
