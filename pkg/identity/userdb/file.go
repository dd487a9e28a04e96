package userdb

import (
	"context"
	"iter"
	"strconv"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Defaults fill in what a line does not say.
type Defaults struct {
	UID, GID int // -1: none
	Home     Template
	Fields   []account.Field // unless the line has the key
}

// File is a userdb in a passwd-file.
type File struct {
	file     *passwdfile.File
	defaults Defaults
}

// NewFile reads users from file.
func NewFile(file *passwdfile.File, defaults Defaults) *File {
	return &File{file, defaults}
}

// Lookup finds user.
func (f *File) Lookup(_ context.Context, user string) (Record, error) {
	e, err := f.file.Lookup(user)
	if err != nil {
		return Record{}, err
	}
	r := Record{User: e.Name, UID: e.UID, GID: e.GID, Home: e.Home}
	for _, x := range e.Userdb {
		r.set(x)
	}
	if r.UID < 0 {
		r.UID = f.defaults.UID
	}
	if r.GID < 0 {
		r.GID = f.defaults.GID
	}
	if r.Home == "" && !f.defaults.Home.Empty() {
		if r.Home, err = f.defaults.Home.ExpandPath(e.Name); err != nil {
			return Record{}, fail.Wrap(fail.Unavailable, err, "user %s", e.Name)
		}
	}
	for _, x := range f.defaults.Fields {
		if !r.has(x.Key) {
			r.Fields = append(r.Fields, x)
		}
	}
	return r, nil
}

// set takes an extra field; uid, gid and home win over the columns, as in
// Dovecot. The parser has checked them.
func (r *Record) set(x account.Field) {
	switch x.Key {
	case "uid":
		r.UID = number(x.Value)
	case "gid":
		r.GID = number(x.Value)
	case "home":
		r.Home = x.Value
	default:
		r.Fields = append(r.Fields, x)
	}
}

func (r *Record) has(key string) bool {
	for _, x := range r.Fields {
		if x.Key == key {
			return true
		}
	}
	return false
}

// List yields the names in the order of the file.
func (f *File) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s, err := f.file.Get()
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
	s, err := f.file.Get()
	if err != nil {
		return false, err
	}
	return s.HasDomain(account.Domain(domain)), nil
}

// number is -1 for the empty text.
func number(s string) int {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	return -1
}
