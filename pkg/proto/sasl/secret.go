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
	A1        [16]byte // SecretDigestMD5
	Salt      []byte   // SCRAM, RFC 5802 section 3
	Iter      int      // SCRAM
	StoredKey []byte   // SCRAM
	ServerKey []byte   // SCRAM
}

// Identity is whom a peer claims to be in a challenge mechanism.
type Identity struct {
	Authcid string // whose secret it is
	Authzid string // who to act as; empty: the same
	Realm   string // DIGEST-MD5; empty in others
}

// Token is what XOAUTH2 and OAUTHBEARER (RFC 7628) carry.
type Token struct {
	User  string // the user the client names; may be empty in OAUTHBEARER
	Value string // the bearer token
}
