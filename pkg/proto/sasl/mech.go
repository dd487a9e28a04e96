package sasl

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Caps on what a peer may send. RFC 4616 section 2 wants at least 255 octets
// for each part; SHA-crypt gets slow with the length of a password.
const (
	MaxName     = 512
	MaxPassword = 1024
	MaxResponse = 8192 // Dovecot's buffer for one SASL response
)

// Credentials is what a password mechanism received, or what a client has. The
// fields after Password are the clients' alone.
type Credentials struct {
	Authzid  string // who to act as; empty: the same as Authcid
	Authcid  string // whose password it is
	Password string

	Token   string // bearer token, in place of a password
	Binder  Binder // the TLS connection, for channel binding; nil: none
	Stamped string // APOP: the challenge of the server's greeting
	Target  string // DIGEST-MD5: "service/host" of the server; empty: "smtp/localhost"
}

// Binder gives the channel binding data of a TLS connection for a type of
// RFC 5929 or RFC 9266.
type Binder interface {
	ChannelBinding(kind string) ([]byte, error)
}

// Backend decides whether the peer is who it says. One method per family of
// mechanisms. An error becomes the exchange's; a mechanism adds nothing to it,
// so that no peer learns more than the backend lets it.
type Backend interface {
	// VerifyPassword returns nil when c is right.
	VerifyPassword(c Credentials) error
	// Secret returns what proofs of id are compared with. For users nobody
	// knows it returns a decoy of the same form, always the same one, so that
	// their exchange looks like any other; Proved refuses it in the end. An
	// error is an outage.
	Secret(id Identity, kind SecretKind) (Secret, error)
	// Proved ends an exchange that Secret began. ok says whether the peer knew
	// the secret. Nil only if ok, and if nothing else forbids the login.
	Proved(ok bool) error
	// VerifyToken returns nil when the token is good, for the user it names.
	VerifyToken(t Token) error
	// VerifyExternal lets in whom the connection below SASL has identified (a
	// TLS client certificate). authzid may be empty.
	VerifyExternal(authzid string) error
	// VerifyAnonymous lets in a guest. trace is what the guest says of itself.
	VerifyAnonymous(trace string) error
	// ChannelBinding returns the data of the TLS connection for a type of
	// RFC 5929 or RFC 9266, such as "tls-exporter". The peer has no say in it.
	Binder
}

// OnlyPasswords is for embedding by backends that can check passwords and
// nothing else: it has every other method of Backend, each of which refuses.
type OnlyPasswords struct{}

// errOnly is an outage: such a backend must not have offered the mechanism.
var errOnly = fail.New(fail.Unavailable, "only passwords can be checked here")

// Secret knows none.
func (OnlyPasswords) Secret(Identity, SecretKind) (Secret, error) { return Secret{}, errOnly }

// Proved accepts nothing.
func (OnlyPasswords) Proved(bool) error { return errOnly }

// VerifyToken accepts nothing.
func (OnlyPasswords) VerifyToken(Token) error { return errOnly }

// VerifyExternal accepts nothing.
func (OnlyPasswords) VerifyExternal(string) error { return errOnly }

// VerifyAnonymous accepts nothing.
func (OnlyPasswords) VerifyAnonymous(string) error { return errOnly }

// ChannelBinding knows none.
func (OnlyPasswords) ChannelBinding(string) ([]byte, error) { return nil, errOnly }

// errNotProved refuses where the backend is not asked, or says nothing.
var errNotProved = fail.New(fail.Denied, "the proof is wrong")

// errImpostor is what a client finds out about its server.
var errImpostor = fail.New(fail.Permanent, "the server did not prove that it knows the password: it may be an impostor")

// malformed is the error for responses outside a mechanism's grammar.
func malformed(mech, what string) error {
	return fail.New(fail.Invalid, "%s response: %s", mech, what)
}

// verify applies the checks common to password mechanisms, then asks b.
func verify(b Backend, mech string, c Credentials) error {
	if err := checkName(mech, c.Authcid); err != nil {
		return err
	}
	if c.Authzid != "" {
		if err := checkName(mech, c.Authzid); err != nil {
			return err
		}
	}
	// The password's bytes are not ours to judge (old clients send Latin-1),
	// but NUL ends a string in every crypt(3).
	if len(c.Password) > MaxPassword || strings.IndexByte(c.Password, 0) >= 0 {
		return malformed(mech, "password is too long or contains NUL")
	}
	return b.VerifyPassword(c)
}

func checkName(mech, name string) error {
	switch {
	case name == "":
		return malformed(mech, "user name is empty")
	case len(name) > MaxName:
		return malformed(mech, "user name is too long")
	case !utf8.ValidString(name):
		return malformed(mech, "user name is not UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return malformed(mech, "user name contains control characters")
	}
	return nil
}
