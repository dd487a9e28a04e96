package userdbclient

import (
	"path/filepath"
	"strconv"
	"strings"

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

// passRecord reads what PASS answers: all of it is fields.
func passRecord(line dovecotauth.Line) (UserRecord, error) {
	r := UserRecord{UID: -1, GID: -1, Fields: line.Fields(1)}
	if r.User = r.Fields.Get("user"); r.User == "" {
		return UserRecord{}, fail.New(fail.Unavailable, "auth service sent a password record without a name")
	}
	return r, nil
}

// Layout is what LAYOUT= of the mail field says, in lower case; empty when it
// says nothing.
func (r UserRecord) Layout() string {
	_, options, _ := strings.Cut(r.Mail, ":")
	for option := range strings.SplitSeq(options, ":") {
		if name, ok := strings.CutPrefix(option, "LAYOUT="); ok {
			return strings.ToLower(name)
		}
	}
	return ""
}

// Maildir is the root of the user's Maildir: what the mail field says in
// Dovecot's form ("maildir:~/Maildir:INDEX=…", of which only the path counts
// here), or ~/Maildir. Errors are of kind fail.Unavailable: the user exists,
// but the operator has to mend the record.
func (r UserRecord) Maildir() (string, error) {
	where := r.Mail
	if where == "" {
		where = "maildir:~/Maildir"
	}
	path, ok := strings.CutPrefix(where, "maildir:")
	if !ok {
		return "", fail.New(fail.Unavailable, "user %s: mail=%q is not a Maildir", r.User, where)
	}
	path, _, _ = strings.Cut(path, ":")
	if rest, home := strings.CutPrefix(path, "~"); home {
		if !filepath.IsAbs(r.Home) {
			return "", fail.New(fail.Unavailable, "user %s has no home folder and mail=%q needs one", r.User, where)
		}
		path = filepath.Join(r.Home, rest)
	}
	if !filepath.IsAbs(path) {
		return "", fail.New(fail.Unavailable, "user %s: mail=%q is not an absolute path", r.User, where)
	}
	return filepath.Clean(path), nil
}
