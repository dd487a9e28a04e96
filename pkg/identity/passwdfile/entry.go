package passwdfile

import (
	"strconv"
	"strings"
	"unicode"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Entry is one user.
type Entry struct {
	Name     string // in lower case: the key and the canonical name
	Password string // as stored, "{SCHEME}…"; empty or starting with ! or *: cannot log in
	UID, GID int    // -1 when the line does not say
	Home     string // absolute, or empty
	Passdb   []account.Field
	Userdb   []account.Field // extra fields that had the prefix userdb_
	Line     int
}

// Locked reports whether the stored password is one that nothing matches.
func (e *Entry) Locked() bool {
	return e.Password == "" || e.Password[0] == '!' || e.Password[0] == '*'
}

// parseEntry reads one line. When it fails, name is the user that the line is
// about, or "" if that cannot be told.
func parseEntry(line string) (e *Entry, name string, err error) {
	fields := strings.SplitN(line, ":", 8)
	if len(fields) < 2 {
		return nil, "", fail.New(fail.Invalid, "line has no colon")
	}
	if err := account.CheckName(fields[0]); err != nil {
		return nil, "", err
	}
	e = &Entry{Name: account.Canonical(fields[0]), Password: withType(fields[1]), UID: -1, GID: -1}
	for len(fields) < 8 {
		fields = append(fields, "")
	}
	if e.UID, err = parseID("uid", fields[2]); err != nil {
		return nil, e.Name, err
	}
	if e.GID, err = parseID("gid", fields[3]); err != nil {
		return nil, e.Name, err
	}
	if err := account.CheckHome(fields[5]); err != nil {
		return nil, e.Name, err
	}
	e.Home = fields[5]
	if err := e.addExtra(fields[7]); err != nil {
		return nil, e.Name, err
	}
	return e, e.Name, nil
}

// parseID refuses 0: nothing here may ever act as root.
func parseID(what, text string) (int, error) {
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return -1, fail.New(fail.Invalid, "%s %.20q is not a number above 0", what, text)
	}
	return int(n), nil
}

// withType turns the "hash[type]" of libpam-pwdfile into a scheme: 13 is DES,
// 34 MD5, and 56 Dovecot's own for DIGEST-MD5.
func withType(stored string) string {
	hash, kind, ok := strings.Cut(stored, "[")
	if !ok || !strings.HasSuffix(kind, "]") || strings.HasPrefix(stored, "{") {
		return stored
	}
	switch strings.TrimSuffix(kind, "]") {
	case "13":
		return "{CRYPT}" + hash
	case "34":
		return "{PLAIN-MD5}" + hash
	case "56":
		return "{DIGEST-MD5}" + hash
	}
	return stored
}

// addExtra sorts the extra fields, which spaces separate.
func (e *Entry) addExtra(text string) error {
	for _, word := range strings.Fields(text) {
		key, value, found := strings.Cut(word, "=")
		f := account.Field{Key: key, Value: value, Flag: !found}
		if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) || key == "" {
			return fail.New(fail.Invalid, "extra field %.40q has no proper key", word)
		}
		if strings.ContainsFunc(value, unicode.IsControl) {
			return fail.New(fail.Invalid, "extra field %s contains control characters", key)
		}
		if rest, ok := strings.CutPrefix(key, "userdb_"); ok {
			f.Key = rest
			if err := checkUserdb(f); err != nil {
				return err
			}
			e.Userdb = append(e.Userdb, f)
			continue
		}
		if key == "password" {
			return fail.New(fail.Invalid, "extra field password: the password belongs into the second field")
		}
		e.Passdb = append(e.Passdb, f)
	}
	return nil
}

func checkUserdb(f account.Field) error {
	switch f.Key {
	case "uid", "gid":
		_, err := parseID("userdb_"+f.Key, f.Value)
		return err
	case "home":
		return account.CheckHome(f.Value)
	}
	return nil
}
