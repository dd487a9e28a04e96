package sasl

// SecretKind is what a challenge mechanism needs to know of a password.
type SecretKind uint8

// The kinds, by the mechanisms that use them.
const (
	SecretPlain       SecretKind = iota + 1 // APOP: the password itself
	SecretCRAMMD5                           // CRAM-MD5: the two HMAC-MD5 states
	SecretDigestMD5                         // DIGEST-MD5: H(user:realm:password)
	SecretSCRAMSHA1                         // SCRAM-SHA-1 and its -PLUS
	SecretSCRAMSHA256                       // SCRAM-SHA-256 and its -PLUS
)

// String is the name of Dovecot's password scheme that stores this kind.
func (k SecretKind) String() string {
	switch k {
	case SecretPlain:
		return "PLAIN"
	case SecretCRAMMD5:
		return "CRAM-MD5"
	case SecretDigestMD5:
		return "DIGEST-MD5"
	case SecretSCRAMSHA1:
		return "SCRAM-SHA-1"
	case SecretSCRAMSHA256:
		return "SCRAM-SHA-256"
	}
	return "unknown"
}

// Secret is what a mechanism compares a proof with. Only the fields of its
// kind are set. It must not be logged.
type Secret struct {
	Plain     string   // SecretPlain
	Inner     [16]byte // SecretCRAMMD5: MD5 state after key XOR ipad, little-endian words as Dovecot stores it
	Outer     [16]byte // the same after key XOR opad
	A1        [16]byte // SecretDigestMD5: of UTF-8, as Dovecot stores it and curl computes it
	A1Latin1  [16]byte // SecretDigestMD5: of ISO 8859-1, as RFC 2831 and Cyrus SASL have it; zero where it is A1, or not known
	Salt      []byte   // SCRAM, RFC 5802 section 3
	Iter      int      // SCRAM
	StoredKey []byte   // SCRAM
	ServerKey []byte   // SCRAM
	// Others are keys of further passwords with the same Salt and Iter, each
	// as good (SCRAM).
	Others []SCRAMKeys
}

// SCRAMKeys are what SCRAM compares with and answers by.
type SCRAMKeys struct {
	StoredKey []byte
	ServerKey []byte
	Used      func() // called before Proved(true) when the peer knew this one; may be nil
}

// Identity is whom a peer claims to be in a challenge mechanism.
type Identity struct {
	Authcid string // whose secret it is
	Authzid string // who to act as; empty: the same
	Realm   string // DIGEST-MD5; empty in others
}

// check applies to all names what checkName demands.
func (id Identity) check(mech string) error {
	if err := checkName(mech, id.Authcid); err != nil {
		return err
	}
	for _, name := range []string{id.Authzid, id.Realm} {
		if name != "" {
			if err := checkName(mech, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// Token is what XOAUTH2 and OAUTHBEARER (RFC 7628) carry.
type Token struct {
	User  string // the user the client names; may be empty in OAUTHBEARER
	Value string // the bearer token
}

// SecretOf makes the secret of a password that is known in the clear. salt and
// iter are those of SCRAM and ignored elsewhere.
func SecretOf(kind SecretKind, id Identity, password string, salt []byte, iter int) Secret {
	switch kind {
	case SecretPlain:
		return Secret{Plain: password}
	case SecretCRAMMD5:
		inner, outer := cramStates(password)
		return Secret{Inner: inner, Outer: outer}
	case SecretDigestMD5:
		s := Secret{A1: digestA1(id.Authcid, id.Realm, password)}
		if other := digestLatin1(id.Authcid, id.Realm, password); other != s.A1 {
			s.A1Latin1 = other
		}
		return s
	case SecretSCRAMSHA1:
		return scramSHA1().secret(password, salt, iter)
	case SecretSCRAMSHA256:
		return scramSHA256().secret(password, salt, iter)
	}
	return Secret{}
}
