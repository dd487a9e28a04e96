package scheme

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"slices"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// CanServe reports whether passwords stored under a scheme's name can serve a
// challenge mechanism: readable ones any, others only the mechanism they were
// made for.
func CanServe(name string, kind sasl.SecretKind) bool {
	r, _, err := findEncoded(name)
	return err == nil && r.serves(kind)
}

func (r row) serves(kind sasl.SecretKind) bool {
	switch r.scheme() {
	case "PLAIN":
		return kind >= sasl.SecretPlain && kind <= sasl.SecretSCRAMSHA256
	case "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256":
		return r.scheme() == kind.String()
	}
	return false
}

// Derivation is a secret in the making. It has the form of a check because it is
// made where passwords are checked: see Cheap.
type Derivation struct {
	kind   sasl.SecretKind
	secret sasl.Secret
	err    error
	make   func() (sasl.Secret, error) // nil: it is made
	costly bool
}

// Scheme is the mechanism's.
func (d *Derivation) Scheme() string { return d.kind.String() }

// Verify makes the secret; there is no password to compare. It reports whether
// there is one now.
func (d *Derivation) Verify(*Workspace, string) bool {
	if d.make != nil {
		d.secret, d.err = d.make()
		d.make = nil
	}
	return d.err == nil
}

// Secret is the secret, after Verify.
func (d *Derivation) Secret() (sasl.Secret, error) {
	if d.make != nil {
		return sasl.Secret{}, fail.New(fail.Unavailable, "the secret for %s was not made", mechanisms(d.kind))
	}
	return d.secret, d.err
}

// Derive returns what a challenge mechanism needs of a stored password. user
// and realm are what the client said in DIGEST-MD5; elsewhere user is the
// account, which only the salts of readable passwords depend on. A stored
// DIGEST-MD5 hash serves the name it was made for, whatever user and realm are.
//
// Errors: fail.Permanent if such passwords cannot serve the mechanism,
// fail.Invalid as Parse. A readable password costs the iterations of a new
// SCRAM hash; nothing else is costly.
func Derive(stored string, kind sasl.SecretKind, user, realm string, p Policy) (*Derivation, error) {
	r, h, err := parse(stored, anybody, p)
	if err != nil {
		return nil, err
	}
	if !r.serves(kind) {
		return nil, fail.New(fail.Permanent, "a password stored as %s cannot serve %s", h.Scheme(), mechanisms(kind))
	}
	if err := p.check(r, h); err != nil {
		return nil, err
	}
	switch h := h.(type) {
	case cramHash:
		return made(kind, sasl.Secret{Inner: h.inner, Outer: h.outer}), nil
	case digestMD5Hash:
		return made(kind, sasl.Secret{A1: h.want}), nil
	case scramHash:
		return made(kind, sasl.Secret{Salt: h.salt, Iter: h.iter, StoredKey: h.stored, ServerKey: h.serverKey}), nil
	}
	_, suffix, body, err := split(stored)
	if err != nil {
		return nil, err
	}
	password, err := r.decode(body, suffix)
	if err != nil {
		return nil, err
	}
	return ofReadable(password, kind, user, realm, p), nil
}

// DeriveDecoy costs what Derive costs of a readable password, and is worth
// nothing. It is for users who have none, where p allows some to have one: the
// time that a challenge takes must not tell them apart. Elsewhere it is cheap.
func DeriveDecoy(kind sasl.SecretKind, user string, p Policy) *Derivation {
	if !p.readable() {
		return made(kind, sasl.Secret{})
	}
	return ofReadable("a password like any other", kind, user, "", p)
}

// readable reports whether passwords may be stored so that every mechanism's
// secret can be made of them.
func (p Policy) readable() bool {
	return slices.ContainsFunc(p.Allow, func(name string) bool {
		r, ok := find(name)
		return ok && r.serves(sasl.SecretPlain)
	})
}

func made(kind sasl.SecretKind, s sasl.Secret) *Derivation { return &Derivation{kind: kind, secret: s} }

func ofReadable(password string, kind sasl.SecretKind, user, realm string, p Policy) *Derivation {
	return &Derivation{
		kind: kind, costly: kind == sasl.SecretSCRAMSHA1 || kind == sasl.SecretSCRAMSHA256,
		make: func() (sasl.Secret, error) { return fromPlain(password, kind, user, realm, p) },
	}
}

// mechanisms names those that use a kind.
func mechanisms(kind sasl.SecretKind) string {
	if kind == sasl.SecretPlain {
		return "APOP"
	}
	return kind.String()
}

func fromPlain(password string, kind sasl.SecretKind, user, realm string, p Policy) (sasl.Secret, error) {
	switch kind {
	case sasl.SecretCRAMMD5:
		h, err := cramStates(password)
		return sasl.Secret{Inner: h.inner, Outer: h.outer}, err
	case sasl.SecretDigestMD5:
		return sasl.SecretOf(kind, sasl.Identity{Authcid: user, Realm: realm}, password, nil, 0), nil
	case sasl.SecretSCRAMSHA1, sasl.SecretSCRAMSHA256:
		s := sasl.Secret{Salt: random(scramSalt), Iter: scramIterations()}
		if len(p.SaltKey) > 0 {
			s.Salt = invented(p.SaltKey, user, kind, "salt", scramSalt)
		}
		var err error
		s.StoredKey, s.ServerKey, err = scramKeys(scramHashOf(kind), saslPrep(password), s.Salt, s.Iter)
		return s, err
	}
	return sasl.Secret{Plain: password}, nil
}

// DecoySecret is what an unknown user is asked to prove, so that a challenge
// does not tell who exists: for one key and user it is always the same, with
// the iterations of a new hash, and no password is known to fit it. key should
// stay the same over restarts.
func DecoySecret(key []byte, user string, kind sasl.SecretKind) sasl.Secret {
	make16 := func(what string) [md5.Size]byte { return [md5.Size]byte(invented(key, user, kind, what, md5.Size)) }
	switch kind {
	case sasl.SecretPlain:
		return sasl.Secret{Plain: hex.EncodeToString(invented(key, user, kind, "password", 16))}
	case sasl.SecretCRAMMD5:
		return sasl.Secret{Inner: make16("inner"), Outer: make16("outer")}
	case sasl.SecretDigestMD5:
		return sasl.Secret{A1: make16("A1")}
	case sasl.SecretSCRAMSHA1, sasl.SecretSCRAMSHA256:
		size := scramHashOf(kind)().Size()
		return sasl.Secret{
			Salt: invented(key, user, kind, "salt", scramSalt), Iter: scramIterations(),
			StoredKey: invented(key, user, kind, "StoredKey", size), ServerKey: invented(key, user, kind, "ServerKey", size),
		}
	}
	return sasl.Secret{}
}

// invented is size bytes that depend on all arguments.
func invented(key []byte, user string, kind sasl.SecretKind, what string, size int) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte(kind.String() + "\x00" + what + "\x00" + user))
	return m.Sum(nil)[:size]
}

func scramIterations() int {
	rounds, _, _ := scramCosts.limits()
	return rounds.usual
}

func scramHashOf(kind sasl.SecretKind) func() hash.Hash {
	if kind == sasl.SecretSCRAMSHA1 {
		return sha1.New
	}
	return sha256.New
}
