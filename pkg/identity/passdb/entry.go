package passdb

import (
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/identity/cache"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/identity/scheme"
)

// Skip says when a database is left out because of what earlier ones came to.
type Skip uint8

// The values of Dovecot's skip.
const (
	SkipNever Skip = iota
	SkipAuthenticated
	SkipUnauthenticated
)

// Verbose says when a database's refusals are logged.
type Verbose uint8

// The values of Dovecot's auth_verbose.
const (
	VerboseRefused Verbose = iota // when the login was refused in the end
	VerboseAlways                 // also when another database let the user in
	VerboseNever
)

// Entry is a database of a chain and its rules.
type Entry struct {
	Name   string // for the log: "sql"
	ID     string // in the cache: tells this database with these settings, and the chain's Policy, from all others
	Driver Driver

	Match    rule.Match
	Skip     Skip
	Rules    rule.Set
	Deny     bool           // whoever is in it may not log in
	Master   bool           // its users may log in as others
	Default  request.Fields // extra fields that the driver's replace
	Override request.Fields // extra fields that replace the driver's
	Verbose  Verbose
}

// Chain asks its databases in turn, by Dovecot's rules. It is safe for
// concurrent use.
type Chain struct {
	Entries []Entry
	Hasher  Hasher
	Policy  scheme.Policy
	// Decoy is hashed for users that nobody knows, so that they take as long
	// as the others, until a stored password has shown what those cost; see
	// scheme.Decoy.
	Decoy scheme.Hash
	// DecoyKey makes the secrets of users that nobody knows, for challenge
	// mechanisms. It stays the same over restarts.
	DecoyKey []byte
	Cache    *cache.Cache // nil: none
	TTL      TTL
	Rehash   Rehash // nil: passwords stay as they are stored

	sample atomic.Pointer[scheme.Hash] // see decoy
}

// TTL is how long what is kept for. Zero: not at all.
type TTL struct {
	Verified time.Duration // that a password is, or is not, the stored one
	Positive time.Duration // what a Cacheable driver answered to a right password
	Negative time.Duration // that a Cacheable driver does not know a user, or a password is wrong
}

// Verdict is what a chain came to, beside its error.
type Verdict struct {
	DB         string // the database that let the user in
	Label      string // of the app password that was right
	Refusals   []Refusal
	Trouble    []error   // what went wrong without changing the verdict
	DelayUntil time.Time // a success is to be told then; zero: at once
	NoDelay    bool      // a refusal may be told at once
}

// Refusal is one database's no.
type Refusal struct {
	DB      string
	Reason  Reason
	Verbose Verbose
	Detail  string // as in Refused
}

// HasMasters reports whether there is a database of users who may log in as
// others.
func (c *Chain) HasMasters() bool {
	for i := range c.Entries {
		if c.Entries[i].Master {
			return true
		}
	}
	return false
}
