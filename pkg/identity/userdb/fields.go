package userdb

import (
	"strconv"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// FromFields makes a record of what a database answered for user, by
// Dovecot's names: user (and username, domain), uid, gid, home; every other key
// is an extra field.
// Errors are fail.Unavailable: the database holds what it should not.
func FromFields(user string, fields []account.Field) (Record, error) {
	r := Record{User: user, UID: -1, GID: -1}
	for _, f := range fields {
		if err := r.take(f); err != nil {
			return Record{}, err
		}
	}
	return r, nil
}

func (r *Record) take(f account.Field) (err error) {
	switch f.Key {
	case "user":
		if f.Value != "" {
			r.User = account.Canonical(f.Value)
		}
	case "username":
		if local, domain := account.Split(f.Value); f.Value != "" {
			if domain == "" {
				_, domain = account.Split(r.User)
			}
			r.User = account.Qualify(local, domain)
		}
	case "domain":
		if f.Value != "" {
			local, _ := account.Split(r.User)
			r.User = account.Qualify(local, f.Value)
		}
	case "uid":
		r.UID, err = id(r.User, f)
	case "gid":
		r.GID, err = id(r.User, f)
	case "home":
		if err := account.CheckHome(f.Value); err != nil {
			return fail.Wrap(fail.Unavailable, err, "user %s", r.User)
		}
		r.Home = f.Value
	default:
		r.Fields = append(r.Fields, f)
	}
	return err
}

// id reads a numeric id; 0 is refused: nothing here may ever act as root.
func id(user string, f account.Field) (int, error) {
	if f.Value == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(f.Value, 10, 31)
	if err != nil || n == 0 {
		return -1, fail.New(fail.Unavailable, "user %s: %s %.20q is not a number above 0", user, f.Key, f.Value)
	}
	return int(n), nil
}
