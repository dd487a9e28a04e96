package roster

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// UsesName is the file of special uses in the root of a Maildir.
const UsesName = "postcote-special-use"

const (
	usesHeader = "postcote special-use 1"
	maxUses    = 64 << 10 // bytes of the file
	filePerm   = 0o660
)

// Uses says which folder has a special use: at most one each. It is not safe
// for concurrent use.
type Uses struct {
	byUse []use // in the order in which they were given
}

type use struct{ attr, folder string }

// LoadUses reads a file; one that does not exist is empty.
func LoadUses(fsys disk.FS, file string) (*Uses, error) {
	data, err := disk.ReadFile(fsys, file, maxUses)
	if errors.Is(err, fs.ErrNotExist) {
		return &Uses{}, nil
	}
	if err != nil {
		return nil, fail.Wrap(fail.Temporary, err, "reading %s", file)
	}
	u, err := parseUses(string(data))
	if err != nil {
		return nil, fail.Wrap(fail.Corrupt, err, "%s", file)
	}
	return u, nil
}

func parseUses(text string) (*Uses, error) {
	lines, err := split(text, usesHeader)
	if err != nil {
		return nil, err
	}
	u := &Uses{}
	for i, l := range lines {
		attr, folder, ok := strings.Cut(l, "\t")
		if !ok || !isAttr(attr) || folder == "" || hasControl(folder) || u.Folder(attr) != "" {
			return nil, fail.New(fail.Corrupt, "line %d is no special use: %.80q", i+2, l)
		}
		u.byUse = append(u.byUse, use{attr, folder})
	}
	return u, nil
}

// split returns the lines of a file behind its header.
func split(text, header string) ([]string, error) {
	body, ok := strings.CutPrefix(text, header+"\n")
	if !ok {
		return nil, fail.New(fail.Corrupt, "it does not begin with %q", header)
	}
	if body == "" {
		return nil, nil
	}
	body, ok = strings.CutSuffix(body, "\n")
	if !ok {
		return nil, fail.New(fail.Corrupt, "its last line is not complete")
	}
	return strings.Split(body, "\n"), nil
}

// isAttr admits "\Sent" and the like.
func isAttr(s string) bool {
	name, ok := strings.CutPrefix(s, `\`)
	return ok && name != "" && len(s) <= 32 && !strings.ContainsFunc(name, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// Save replaces the file, durably.
func (u *Uses) Save(fsys disk.FS, file string) error {
	var b strings.Builder
	b.WriteString(usesHeader + "\n")
	for _, e := range u.byUse {
		b.WriteString(e.attr + "\t" + e.folder + "\n")
	}
	if b.Len() > maxUses {
		return fail.New(fail.Invalid, "the special uses take %d bytes, the limit is %d", b.Len(), maxUses)
	}
	return disk.WriteFile(fsys, file, []byte(b.String()), filePerm)
}

// Folder is the folder that was given the use; "" when none was.
func (u *Uses) Folder(attr string) string {
	for _, e := range u.byUse {
		if e.attr == attr {
			return e.folder
		}
	}
	return ""
}

// Of returns the uses that a folder was given.
func (u *Uses) Of(folder string) []string {
	var attrs []string
	for _, e := range u.byUse {
		if e.folder == folder {
			attrs = append(attrs, e.attr)
		}
	}
	return attrs
}

// Give gives a folder a use, which the one that has it loses. Invalid: one of
// the two cannot be written down.
func (u *Uses) Give(attr, folder string) error {
	if !isAttr(attr) || folder == "" || hasControl(folder) {
		return fail.New(fail.Invalid, "special use %q of folder %q", attr, folder)
	}
	u.byUse = slices.DeleteFunc(u.byUse, func(e use) bool { return e.attr == attr })
	u.byUse = append(u.byUse, use{attr, folder})
	return nil
}

// Drop forgets a folder and reports whether it had a use.
func (u *Uses) Drop(folder string) bool {
	n := len(u.byUse)
	u.byUse = slices.DeleteFunc(u.byUse, func(e use) bool { return e.folder == folder })
	return len(u.byUse) < n
}

// Rename follows a folder, and those below it, to another name; it reports
// whether anything is different now.
func (u *Uses) Rename(from, to string, sep byte) bool {
	changed := false
	for i, e := range u.byUse {
		if e.folder == from || strings.HasPrefix(e.folder, from+string(rune(sep))) {
			u.byUse[i].folder = to + e.folder[len(from):]
			changed = true
		}
	}
	return changed
}

// Clone returns a copy.
func (u *Uses) Clone() *Uses { return &Uses{slices.Clone(u.byUse)} }
