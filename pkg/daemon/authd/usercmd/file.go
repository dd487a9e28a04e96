package usercmd

import (
	"context"
	"iter"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/localdb"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// file is users in a passwd-file. Comments, order and fields that a change does
// not concern stay.
type file struct{ path string }

func (file) close() {}

func (f file) edit(ctx context.Context, change func(*passwdfile.Editor) error) error {
	return passwdfile.Edit(ctx, f.path, change)
}

func (f file) add(ctx context.Context, u localdb.User) error {
	if u.Quota != (localdb.Quota{}) {
		return noQuota()
	}
	e := passwdfile.Entry{Name: u.Address, Password: u.Stored, UID: idOr(u.UID), GID: idOr(u.GID), Home: u.Home}
	if e.Password == "" || !u.Enabled {
		e.Password = "!" + e.Password
	}
	for _, x := range u.Fields {
		if key, ok := strings.CutPrefix(x.Key, "userdb_"); ok {
			x.Key = key
			e.Userdb = append(e.Userdb, x)
			continue
		}
		e.Passdb = append(e.Passdb, x)
	}
	return f.edit(ctx, func(ed *passwdfile.Editor) error { return ed.Add(e) })
}

func idOr(id int) int {
	if id == 0 {
		return -1
	}
	return id
}

func (f file) get(_ context.Context, name string) (user, error) {
	e, err := passwdfile.Open(f.path, nil).Lookup(name)
	if err != nil {
		return user{}, err
	}
	return fromEntry(e), nil
}

// fromEntry is a line as the store has it. Its extra fields for ids and home
// win over the columns, as they do at a lookup.
func fromEntry(e *passwdfile.Entry) user {
	u := user{
		User: localdb.User{Address: e.Name, Stored: e.Password, Enabled: true, UID: max(e.UID, 0), GID: max(e.GID, 0), Home: e.Home},
		line: e.Line,
	}
	u.Fields = append(u.Fields, e.Passdb...)
	for _, x := range e.Userdb {
		switch x.Key {
		case "uid":
			u.UID, _ = strconv.Atoi(x.Value) // the parser has checked it
		case "gid":
			u.GID, _ = strconv.Atoi(x.Value)
		case "home":
			u.Home = x.Value
		default:
			u.Fields = append(u.Fields, account.Field{Key: "userdb_" + x.Key, Value: x.Value, Flag: x.Flag})
		}
	}
	return u
}

func (f file) all(ctx context.Context) iter.Seq2[user, error] {
	return func(yield func(user, error) bool) {
		s, err := passwdfile.Open(f.path, nil).Get()
		if err != nil {
			yield(user{}, err)
			return
		}
		for _, e := range s.Entries() {
			if ctx.Err() != nil || !yield(fromEntry(e), nil) {
				return
			}
		}
	}
}

// problems are the lines that are not in force.
func (f file) problems() []passwdfile.Problem {
	s, err := passwdfile.Open(f.path, nil).Get()
	if err != nil {
		return nil
	}
	return s.Problems
}

func (f file) remove(ctx context.Context, name string) ([]string, error) {
	return nil, f.edit(ctx, func(ed *passwdfile.Editor) error { return ed.Delete(name) })
}

func (f file) setPassword(ctx context.Context, name, stored string) error {
	return f.edit(ctx, func(ed *passwdfile.Editor) error { return ed.SetPassword(name, stored) })
}

// enable takes the mark away, or puts it there, that makes a stored password
// one that nothing matches.
func (f file) enable(ctx context.Context, name string, on bool) error {
	return f.edit(ctx, func(ed *passwdfile.Editor) error {
		u, err := f.get(ctx, name) // the lock is held: nobody else changes it
		if err != nil {
			return err
		}
		stored := strings.TrimPrefix(u.Stored, "!")
		switch {
		case on && stored == "":
			return fail.New(fail.Invalid, "user %s has no password: set one (authd user password)", name)
		case !on:
			stored = "!" + stored
		}
		return ed.SetPassword(name, stored)
	})
}

func noQuota() error {
	return fail.New(fail.Invalid, "a passwd-file has no column for quotas: write the extra field userdb_quota_rule into it, or use a users store")
}

func (file) setQuota(context.Context, string, localdb.Quota) error { return noQuota() }
