package userdb

import (
	"time"

	"github.com/postcote/postcote/pkg/identity/cache"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
)

// Skip says when a database is left out because of what earlier ones came to.
type Skip uint8

// The values of Dovecot's skip.
const (
	SkipNever Skip = iota
	SkipFound
	SkipNotFound
)

// Entry is a database of a chain and its rules.
type Entry struct {
	Name   string // for the log: "sql"
	ID     string // in the cache: tells this database with these settings from all others
	Driver Driver

	Match    rule.Match
	Skip     Skip
	Rules    rule.Set
	Default  request.Fields // extra fields that the driver's replace
	Override request.Fields // extra fields that replace the driver's
}

// Chain asks its databases in turn, by Dovecot's rules. It is safe for
// concurrent use.
type Chain struct {
	Entries  []Entry
	Defaults Defaults
	// Fields are Defaults.Fields with variables.
	Fields request.Fields
	Cache  *cache.Cache // nil: none
	TTL    TTL
}

// TTL is how long a Cacheable driver's answers are kept. Zero: not at all.
type TTL struct {
	Positive time.Duration
	Negative time.Duration // that it does not know a user
}
