package userdbclient

import (
	"strconv"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
)

// UserRecord is what the server says about a user. On an auth-exists socket
// only User, Class and Quota are filled.
type UserRecord struct {
	User   string             // canonical name; never empty
	UID    int                // -1 when not said
	GID    int                // -1 when not said
	Home   string             // absolute, or empty
	Mail   string             // "maildir:~/Maildir", or empty
	Class  string             // "mailbox"; empty when the server does not say
	Quota  string             // "ok", "full"; empty when the server does not say
	Fields dovecotauth.Fields // everything, in wire order
}

func parseRecord(line dovecotauth.Line) (UserRecord, error) {
	r := UserRecord{User: line.Param(1), UID: -1, GID: -1, Fields: line.Fields(2)}
	if r.User == "" {
		return UserRecord{}, fail.New(fail.Unavailable, "auth service sent a user record without a name")
	}
	for _, n := range []struct {
		key string
		to  *int
	}{{"uid", &r.UID}, {"gid", &r.GID}} {
		if v, ok := r.Fields.Lookup(n.key); ok {
			id, err := strconv.ParseUint(v, 10, 31)
			if err != nil {
				return UserRecord{}, fail.New(fail.Unavailable, "auth service sent %s=%.20q for %s", n.key, v, r.User)
			}
			*n.to = int(id)
		}
	}
	r.Home, r.Mail = r.Fields.Get("home"), r.Fields.Get("mail")
	r.Class, r.Quota = r.Fields.Get("class"), r.Fields.Get("quota")
	return r, nil
}
