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

	named   bool                         // Choose never picks it, only NewClient does
	claimed func(response []byte) string // see Claimed
}

// Setting is what a server mechanism must know of the place where it runs.
type Setting struct {
	Host string // our name, in the challenges of CRAM-MD5
	// PlusOffered says that this peer was offered a mechanism with channel
	// binding. A client that saw none was lied to (RFC 5802 section 6).
	PlusOffered bool
	Stamp       Stamp // of the APOP challenges that are ours

	nonce func() string // for tests; nil: random
}

// Types of channel binding.
const (
	BindingExporter = "tls-exporter"         // RFC 9266
	BindingEndPoint = "tls-server-end-point" // RFC 5929 section 4
)

// Mechanisms lists what this package can serve, strongest first.
func Mechanisms() []Mechanism {
	t := table()
	return t[:]
}

// table is an array and holds no closures, so that a login costs no memory to
// find its row.
func table() [13]Mechanism {
	return [...]Mechanism{
		{
			Name: "SCRAM-SHA-256-PLUS", MutualAuth: true, Secret: SecretSCRAMSHA256, Binding: true,
			NewServer: serveSHA256Plus, NewClient: useSHA256Plus, claimed: claimedSCRAM,
		},
		{
			Name: "SCRAM-SHA-1-PLUS", MutualAuth: true, Secret: SecretSCRAMSHA1, Binding: true,
			NewServer: serveSHA1Plus, NewClient: useSHA1Plus, claimed: claimedSCRAM,
		},
		{
			Name: "SCRAM-SHA-256", MutualAuth: true, Secret: SecretSCRAMSHA256,
			NewServer: serveSHA256, NewClient: useSHA256, claimed: claimedSCRAM,
		},
		{
			Name: "SCRAM-SHA-1", MutualAuth: true, Secret: SecretSCRAMSHA1,
			NewServer: serveSHA1, NewClient: useSHA1, claimed: claimedSCRAM,
		},
		{
			Name: "DIGEST-MD5", Dictionary: true, Active: true, MutualAuth: true, Secret: SecretDigestMD5, named: true,
			NewServer: NewDigestMD5Server, NewClient: NewDigestMD5Client, claimed: claimedDigest,
		},
		{
			Name: "CRAM-MD5", Dictionary: true, Active: true, Secret: SecretCRAMMD5,
			NewServer: NewCRAMMD5Server, NewClient: NewCRAMMD5Client, claimed: claimedCRAM,
		},
		{
			Name: "APOP", Dictionary: true, Active: true, Private: true, Secret: SecretPlain, named: true,
			NewServer: NewAPOPServer, NewClient: NewAPOPClient, claimed: claimedAPOP,
		},
		{
			Name: "OAUTHBEARER", Plaintext: true, Token: true,
			NewServer: NewOAuthBearerServer, NewClient: NewOAuthBearerClient, claimed: claimedBearer,
		},
		{
			Name: "XOAUTH2", Plaintext: true, Token: true,
			NewServer: NewXOAuth2Server, NewClient: NewXOAuth2Client, claimed: claimedXOAuth2,
		},
		{
			Name: "PLAIN", Plaintext: true,
			NewServer: NewPlainServer, NewClient: NewPlainClient, claimed: claimedPlain,
		},
		{
			Name: "LOGIN", Plaintext: true,
			NewServer: NewLoginServer, NewClient: NewLoginClient, claimed: claimedWhole,
		},
		{
			Name: "EXTERNAL", Certificate: true, named: true,
			NewServer: NewExternalServer, NewClient: NewExternalClient, claimed: claimedWhole,
		},
		{Name: "ANONYMOUS", Anonymous: true, named: true, NewServer: NewAnonymousServer, NewClient: NewAnonymousClient},
	}
}

// Find returns the mechanism called name, in any case.
func Find(name string) (Mechanism, bool) {
	t := table()
	for i := range t {
		if strings.EqualFold(t[i].Name, name) {
			return t[i], true
		}
	}
	return Mechanism{}, false
}

// Claimed returns whom the first response of a client names, for a log: what
// the client says, not what is true. Empty when it names nobody, or nobody that
// could be. Nothing secret is ever returned.
func Claimed(mech string, response []byte) string {
	m, ok := Find(mech)
	if !ok || m.claimed == nil || len(response) > MaxResponse {
		return ""
	}
	name := m.claimed(response)
	if checkName(mech, name) != nil {
		return ""
	}
	return name
}

func claimedPlain(response []byte) string {
	c, _ := parsePlain(response)
	return c.Authcid
}

func claimedWhole(response []byte) string { return string(response) }

func claimedCRAM(response []byte) string {
	user, _, _ := parseCRAM(response)
	return user
}

func claimedDigest(response []byte) string {
	d, _ := parseDigestResponse(response)
	return d.id.Authcid
}

func claimedAPOP(response []byte) string {
	_, user, _, _ := parseAPOP(response)
	return user
}

func claimedXOAuth2(response []byte) string {
	t, _ := parseXOAuth2(string(response))
	return t.User
}

func claimedBearer(response []byte) string {
	t, _ := parseOAuthBearer(string(response))
	return t.User
}

func claimedSCRAM(response []byte) string {
	part := strings.SplitN(string(response), ",", 4)
	if len(part) != 4 {
		return ""
	}
	name, ok := strings.CutPrefix(part[2], "n=")
	if !ok {
		return ""
	}
	name, _ = unescapeName(name)
	return name
}
