package lookup

import (
	"bytes"
	"errors"
	"io"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/lookup/text"
)

// The system's files of unix:passwd.byname and unix:group.byname. Users that
// only a name service knows are not in them.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

func openUnix(name string, o Options) (Table, error) {
	switch name {
	case "passwd.byname":
		return accounts(passwdFile, 7, o), nil
	case "group.byname":
		return accounts(groupFile, 4, o), nil
	}
	return nil, fail.New(fail.Invalid, "there are unix:passwd.byname and unix:group.byname only")
}

// accounts has the lines of a file of fields with colons by their first one.
func accounts(path string, fields int, o Options) Table {
	parse := func(in io.Reader, size int64) (*text.Index, error) {
		lines := text.NewLines(path, in, o.Limits, o.Warn)
		x := text.NewIndex(size)
		for {
			line, err := lines.Next()
			switch {
			case errors.Is(err, io.EOF):
				return x, nil
			case err != nil:
				return nil, err
			}
			name, _, _ := bytes.Cut(line, []byte(":"))
			if len(name) == 0 || bytes.Count(line, []byte(":")) != fields-1 {
				lines.Warnf("it does not have %d fields", fields)
				continue
			}
			if _, err := x.Add(name, line); err != nil {
				return nil, err
			}
		}
	}
	return &indexed{path, text.NewFile(path, o.Limits, o.Now, parse), o.fold}
}
