package passdb

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/request"
)

// File is a passdb in a passwd-file.
type File struct {
	db     *passwdfile.DB
	scheme string
}

// NewFile reads passwords from db. A password without "{SCHEME}" is of scheme,
// or of crypt(3)'s forms when that is empty.
func NewFile(db *passwdfile.DB, scheme string) *File { return &File{db, scheme} }

// Name is Dovecot's name of the driver.
func (*File) Name() string { return "passwd-file" }

// Lookup finds r's user.
func (f *File) Lookup(_ context.Context, r *request.Request) (Account, error) {
	e, err := f.db.Find(r)
	if err != nil {
		return Account{}, err
	}
	fields := make([]account.Field, 0, 1+len(e.Passdb)+len(e.Userdb))
	more, err := passwdfile.Expand(e.Passdb, r)
	if err != nil {
		return Account{}, err
	}
	userdb, err := passwdfile.Expand(e.Userdb, r)
	if err != nil {
		return Account{}, err
	}
	fields = append(append(fields, account.Field{Key: "password", Value: e.Password}), more...)
	a, err := FromFields(r.User, f.scheme, fields)
	a.Userdb = append(a.Userdb, userdb...)
	return a, err
}

// SetPassword replaces the password of r's user in the file.
func (f *File) SetPassword(ctx context.Context, r *request.Request, stored string) error {
	return f.db.SetPassword(ctx, r, stored)
}
