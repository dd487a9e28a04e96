package sasl

import (
	"strings"

	gosasl "github.com/emersion/go-sasl"
)

// Mechanism is a row of the table.
type Mechanism struct {
	Name string

	// The properties of Dovecot's MECH line, with its values.
	Plaintext      bool // the password or token crosses the wire readable
	Dictionary     bool // open to a passive dictionary attack
	Active         bool // open to an active attack
	Anonymous      bool
	ForwardSecrecy bool
	MutualAuth     bool
	Private        bool // for login processes, never announced to clients

	// What the backend must have before the mechanism can be offered.
	Secret      SecretKind // 0: none
	Token       bool       // it can verify tokens
	Certificate bool       // it knows the peer's TLS client certificate
	Binding     bool       // it knows the channel binding of the TLS connection

	NewServer func(Backend, Setting) gosasl.Server
	NewClient func(Credentials) gosasl.Client

	named bool // Choose never picks it, only NewClient does
}

// Setting is what a server mechanism must know of the place where it runs.
type Setting struct {
	Host string // our name, in the challenges of CRAM-MD5
	// PlusOffered says that this peer was offered a mechanism with channel
	// binding. A client that saw none was lied to (RFC 5802 section 6).
	PlusOffered bool
	Stamp       Stamp // of the APOP challenges that are ours
}

// Mechanisms lists what this package can serve, strongest first.
func Mechanisms() []Mechanism {
	return []Mechanism{
		{Name: "PLAIN", Plaintext: true, NewServer: withoutSetting(NewPlainServer), NewClient: NewPlainClient},
		{Name: "LOGIN", Plaintext: true, NewServer: withoutSetting(NewLoginServer), NewClient: NewLoginClient},
	}
}

func withoutSetting(f func(Backend) gosasl.Server) func(Backend, Setting) gosasl.Server {
	return func(b Backend, _ Setting) gosasl.Server { return f(b) }
}

// Find returns the mechanism called name, in any case.
func Find(name string) (Mechanism, bool) {
	for _, m := range Mechanisms() {
		if strings.EqualFold(m.Name, name) {
			return m, true
		}
	}
	return Mechanism{}, false
}
