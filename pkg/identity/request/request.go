package request

import (
	"net/netip"

	"github.com/postcote/postcote/pkg/identity/account"
)

// Request is one login or lookup. It belongs to one goroutine at a time.
type Request struct {
	User     string // canonical name that is looked up now; a database may change it
	Original string // the name as the peer sent it
	AuthUser string // master login: whose password was checked; empty otherwise

	Service   string // "imap", "smtp", "lmtp", …
	Mech      string // SASL mechanism; empty in a lookup
	Session   string
	LocalName string // TLS server name
	ClientID  string

	Local, Remote         netip.AddrPort // zero: not known
	RealLocal, RealRemote netip.AddrPort // of the connection itself when a proxy gave the others

	Secured    bool   // encrypted, or local
	TLS        string // protocol, such as "TLSv1.3"; empty when not known
	ClientCert bool   // the peer showed a valid certificate …
	CertUser   string // … made out to this name

	Forward []account.Field // what a proxy passed on
	Passdb  []account.Field // extra fields that password databases set so far
	Userdb  []account.Field // the userdb_ ones of them, without the prefix
}

// Add takes an extra field of a password database; one of the same key is
// replaced.
func (r *Request) Add(f account.Field) { r.Passdb = set(r.Passdb, f) }

// AddUserdb takes a field for the user database, its key without "userdb_".
func (r *Request) AddUserdb(f account.Field) { r.Userdb = set(r.Userdb, f) }

func set(fs []account.Field, f account.Field) []account.Field {
	for i := range fs {
		if fs[i].Key == f.Key {
			fs[i] = f
			return fs
		}
	}
	return append(fs, f)
}
