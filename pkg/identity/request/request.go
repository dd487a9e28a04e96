package request

import (
	"net/netip"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/expand"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Request is one login or lookup. It belongs to one goroutine at a time.
type Request struct {
	User     string // canonical name that is looked up now; a database may change it
	Claimed  string // canonical name that the peer claimed, before any database changed it
	Original string // the name as the peer sent it
	// A master login: User is the master until the password was right, and
	// LoginUser whom it wants to be; from then on AuthUser is the master, User
	// the other, and LoginUser empty again.
	AuthUser, LoginUser string

	Service   string // "imap", "smtp", "lmtp", …
	Mech      string // SASL mechanism, upper case; empty in a lookup
	Session   string
	LocalName string // TLS server name
	ClientID  string // IMAP ID
	PID       uint32 // of the client process; 0: not known

	Local, Remote         netip.AddrPort // zero: not known
	RealLocal, RealRemote netip.AddrPort // of the connection itself when a proxy gave the others

	Secured    bool   // encrypted, or local
	TLS        string // protocol, such as "TLSv1.3"; empty when not known
	ClientCert bool   // the peer showed a valid certificate …
	CertUser   string // … made out to this name

	// Password is the plaintext one of PLAIN and LOGIN while databases are
	// asked, for those that compare it themselves (%w). It is never logged.
	Password string

	Forward []account.Field // what a proxy passed on
	Passdb  []account.Field // extra fields that password databases set so far
	Userdb  []account.Field // the userdb_ ones of them, without the prefix
}

// Add takes an extra field of a password database; one of the same key is
// replaced. With ":protected" behind its key it replaces none, with ":remove"
// it takes that one away.
func (r *Request) Add(f account.Field) { r.Passdb = add(r.Passdb, f) }

// AddUserdb takes a field for the user database, its key without "userdb_", by
// the same rules; userdb_import holds several, separated by TAB.
func (r *Request) AddUserdb(f account.Field) {
	if f.Key != "userdb_import" {
		r.Userdb = add(r.Userdb, f)
		return
	}
	for _, word := range strings.Split(f.Value, "\t") {
		if key, value, found := strings.Cut(word, "="); key != "" && key != "userdb_import" {
			r.Userdb = add(r.Userdb, account.Field{Key: key, Value: value, Flag: !found})
		}
	}
}

func add(fs []account.Field, f account.Field) []account.Field {
	if key, ok := strings.CutSuffix(f.Key, ":remove"); ok {
		return account.Remove(fs, key)
	}
	if key, ok := strings.CutSuffix(f.Key, ":protected"); ok {
		if _, there := account.Get(fs, key); there {
			return fs
		}
		f.Key = key
	}
	return account.Set(fs, f)
}

// Template parses a text with a request's variables. Errors are fail.Invalid;
// a variable that no request has is one of them, so that it is found when the
// configuration is read.
func Template(text string) (expand.Template, error) {
	t, err := expand.Parse(text)
	if err != nil {
		return t, err
	}
	for _, name := range t.Names() {
		if !Known(name) {
			return t, fail.New(fail.Invalid, "there is no variable %%{%.40s}", name)
		}
	}
	return t, nil
}
