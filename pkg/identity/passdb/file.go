package passdb

import (
	"context"

	"github.com/postcote/postcote/pkg/identity/passwdfile"
)

// File is a passdb in a passwd-file.
type File struct{ file *passwdfile.File }

// NewFile reads passwords from file.
func NewFile(file *passwdfile.File) *File { return &File{file} }

// Name is Dovecot's name of the driver.
func (*File) Name() string { return "passwd-file" }

// Lookup finds user.
func (f *File) Lookup(_ context.Context, user string) (Account, error) {
	e, err := f.file.Lookup(user)
	if err != nil {
		return Account{}, err
	}
	a := Account{User: e.Name, Stored: e.Password, Fields: e.Passdb}
	if e.Locked() {
		a.Stored = ""
	}
	return a, nil
}
