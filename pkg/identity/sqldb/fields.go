package sqldb

import (
	"strings"
	"unicode/utf8"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/sqlpool"
)

// fields makes fields of a row, by its columns' names in lower case. NULL is
// no field.
func fields(row sqlpool.Row) ([]account.Field, error) {
	fs := make([]account.Field, 0, len(row.Values))
	for i, v := range row.Values {
		key := strings.ToLower(row.Columns[i])
		if !keyOK(key) {
			return nil, fail.New(fail.Unavailable, "a column is called %.60q, which is no name of a field: name it with AS", row.Columns[i])
		}
		if v.Null {
			continue
		}
		if err := valueOK(v.Text); err != nil {
			return nil, fail.Wrap(fail.Unavailable, err, "column %s", key)
		}
		if same, there := find(fs, key); there {
			if same != v.Text {
				return nil, fail.New(fail.Unavailable, "two columns are called %s and differ", key)
			}
			continue
		}
		fs = append(fs, account.Field{Key: key, Value: v.Text})
	}
	return fs, nil
}

func find(fs []account.Field, key string) (string, bool) {
	for _, f := range fs {
		if f.Key == key {
			return f.Value, true
		}
	}
	return "", false
}

// keyOK: letters and digits, and what Dovecot's names have between them.
func keyOK(key string) bool {
	return key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_-.:/+") == ""
}

// valueOK refuses what can be in no field: a line of a protocol or a log would
// end there. The text does not show the value.
func valueOK(s string) error {
	switch {
	case !utf8.ValidString(s):
		return fail.New(fail.Unavailable, "the value is not UTF-8")
	case strings.ContainsAny(s, "\x00\r\n"):
		return fail.New(fail.Unavailable, "the value contains NUL or a line end")
	}
	return nil
}

// unaskable reports whether no database can hold the value: PostgreSQL takes
// neither as text.
func unaskable(s string) bool { return strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) }
