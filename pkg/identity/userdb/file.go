package userdb

import (
	"context"
	"iter"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// File is a userdb in a passwd-file.
type File struct{ db *passwdfile.DB }

// NewFile reads users from db.
func NewFile(db *passwdfile.DB) *File { return &File{db} }

// Name is Dovecot's name of the driver.
func (*File) Name() string { return "passwd-file" }

// Lookup finds r's user. The extra fields uid, gid and home win over the
// columns, as in Dovecot.
func (f *File) Lookup(_ context.Context, r *request.Request) (Record, error) {
	e, err := f.db.Find(r)
	if err != nil {
		return Record{}, err
	}
	fields, err := passwdfile.Expand(e.Userdb, r)
	if err != nil {
		return Record{}, err
	}
	rec, err := FromFields(r.User, fields)
	if err != nil {
		return Record{}, err
	}
	if rec.UID < 0 {
		rec.UID = e.UID
	}
	if rec.GID < 0 {
		rec.GID = e.GID
	}
	if rec.Home == "" {
		rec.Home = e.Home
	}
	return rec, nil
}

// List yields the names in the order of the file.
func (f *File) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		file := f.db.File()
		if file == nil {
			yield("", fail.New(fail.Permanent, "users of a passwd-file whose path has variables cannot be listed"))
			return
		}
		s, err := file.Get()
		if err != nil {
			yield("", err)
			return
		}
		for _, e := range s.Entries() {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			if !yield(e.Name, nil) {
				return
			}
		}
	}
}

// HasDomain reports whether a line names a user of domain.
func (f *File) HasDomain(_ context.Context, domain string) (bool, error) {
	return f.db.HasDomain(account.Domain(domain))
}
