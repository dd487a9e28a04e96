package userdb

import (
	"slices"

	"github.com/postcote/postcote/pkg/identity/account"
)

// Record is a user. An id of -1 is not known.
type Record struct {
	User     string
	UID, GID int
	Home     string
	Fields   []account.Field
}

// Defaults are what users get for whom the databases do not say.
type Defaults struct {
	UID, GID int // -1: none
	Home     Template
	Fields   []account.Field
}

// Has reports whether the record has a further field called key.
func (r *Record) Has(key string) bool {
	return slices.ContainsFunc(r.Fields, func(f account.Field) bool { return f.Key == key })
}
