package userdbclient

import (
	"cmp"
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
	r.Home, r.Mail = r.Fields.Get("home"), mailField(r.Fields)
	r.Class, r.Quota = r.Fields.Get("class"), r.Fields.Get("quota")
	return r, nil
}

// mailField is the mail field. Dovecot 2.4 has a field for each of its parts.
func mailField(f dovecotauth.Fields) string {
	path := f.Get("mail_path")
	if path == "" {
		return f.Get("mail")
	}
	mail := cmp.Or(f.Get("mail_driver"), "maildir") + ":" + path
	for _, o := range [][2]string{
		{"LAYOUT", "mailbox_list_layout"},
		{"CONTROL", "mail_control_path"},
		{"INBOX", "mail_inbox_path"},
		{"SUBSCRIPTIONS", "mailbox_subscriptions_filename"},
		{"DIRNAME", "mailbox_directory_name"},
	} {
		if v := f.Get(o[1]); v != "" {
			mail += ":" + o[0] + "=" + v
		}
	}
	if f.Get("mailbox_list_utf8") == "yes" {
		mail += ":UTF-8"
	}
	return mail
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
// Dovecot's form ("maildir:~/Maildir:INDEX=…"), or ~/Maildir. Errors are of kind
// fail.Unavailable: the user exists, but the operator has to mend the record.
func (r UserRecord) Maildir() (string, error) {
	where := r.Mail
	if where == "" {
		where = "maildir:~/Maildir"
	}
	path, ok := strings.CutPrefix(where, "maildir:")
	if !ok {
		return "", fail.New(fail.Unavailable, "user %s: mail=%q is not a Maildir", r.User, where)
	}
	path, options, _ := strings.Cut(path, ":")
	if strings.HasPrefix(path, "~") && !filepath.IsAbs(r.Home) {
		return "", fail.New(fail.Unavailable, "user %s has no home folder and mail=%q needs one", r.User, where)
	}
	if path = r.expand(path); !filepath.IsAbs(path) {
		return "", fail.New(fail.Unavailable, "user %s: mail=%q is not an absolute path", r.User, where)
	}
	for option := range strings.SplitSeq(options, ":") {
		if err := r.bearable(option, path); err != nil {
			return "", err
		}
	}
	return path, nil
}

func (r UserRecord) expand(path string) string {
	if rest, home := strings.CutPrefix(path, "~"); home {
		path = filepath.Join(r.Home, rest)
	}
	return filepath.Clean(path)
}

// bearable refuses what has the UID lists, the subscriptions or the folders lie
// elsewhere, or under other names, than where we look: new lists there would
// cost clients all that they know of the mail. Where Dovecot's own indexes and
// locks lie, and how it lists folders, makes no difference.
func (r UserRecord) bearable(option, root string) error {
	key, value, _ := strings.Cut(option, "=")
	switch key {
	case "CONTROL", "INBOX":
		if r.expand(value) == root {
			return nil
		}
	case "SUBSCRIPTIONS":
		if value == "subscriptions" {
			return nil
		}
	case "DIRNAME", "FULLDIRNAME", "UTF-8":
	default:
		return nil
	}
	return fail.New(fail.Unavailable, "user %s: mail=%q: %s is not served: bring the files to where they are without it, and take it out",
		r.User, r.Mail, key)
}
