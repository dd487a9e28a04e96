package maildir

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const keywordsName = "dovecot-keywords"

// Keywords is a folder's dovecot-keywords: which letter means which keyword.
type Keywords struct {
	Names [26]string // by letter; empty where there is none
	Stamp Stamp
}

// Keywords reads the folder's keywords; a missing file has none. Lines that
// make no sense are passed over.
func (f *Folder) Keywords() (Keywords, error) {
	name := f.path(keywordsName)
	stamp, err := stampOf(f.tree.fs, name)
	if err != nil {
		return Keywords{}, ioError(err, "reading the keywords of folder %s", f.name)
	}
	if stamp == (Stamp{}) {
		return Keywords{}, nil
	}
	data, err := disk.ReadFile(f.tree.fs, name, 64<<10)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Keywords{}, ioError(err, "reading the keywords of folder %s", f.name)
	}
	k := ParseKeywords(string(data))
	k.Stamp = stamp
	return k, nil
}

// KeywordsStamp is for noticing that others changed the keywords.
func (f *Folder) KeywordsStamp() (Stamp, error) { return stampOf(f.tree.fs, f.path(keywordsName)) }

// ParseKeywords reads lines of "<0..25> <name>".
func ParseKeywords(text string) Keywords {
	var k Keywords
	for line := range strings.SplitSeq(text, "\n") {
		num, name, ok := strings.Cut(line, " ")
		i, err := strconv.Atoi(num)
		if !ok || err != nil || i < 0 || i >= len(k.Names) || !ValidKeyword(name) {
			continue
		}
		k.Names[i] = name
	}
	return k
}

// ValidKeyword reports whether name is an IMAP flag-keyword (RFC 3501 section
// 9: an atom) of bearable length.
func ValidKeyword(name string) bool {
	if name == "" || len(name) > 200 {
		return false
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return true
}

// Letter finds a keyword whatever its case.
func (k *Keywords) Letter(name string) (Letters, bool) {
	for i, n := range k.Names {
		if n != "" && strings.EqualFold(n, name) {
			return 1 << i, true
		}
	}
	return 0, false
}

// Name is the keyword of letter i. One without a name is called as Dovecot
// calls it, so that it is neither lost nor hidden.
func (k *Keywords) Name(i int) string {
	if n := k.Names[i]; n != "" {
		return n
	}
	return fmt.Sprintf("unknown-%d", i)
}

// AllotKeywords returns the letters of names and writes dovecot-keywords when
// some are new. More than 26 fit no file name: the names that got no letter
// are returned in left.
func (l *Lock) AllotKeywords(names []string) (letters Letters, left []string, err error) {
	k, err := l.folder.Keywords()
	if err != nil {
		return 0, nil, err
	}
	letters, left, changed, err := k.allot(names)
	if err != nil || !changed {
		return letters, left, err
	}
	err = l.editKeywords(func(k *Keywords) (changed bool, err error) {
		letters, left, changed, err = k.allot(names)
		return changed, err
	})
	return letters, left, err
}

// RestoreKeywords gives letters their names of before back, see Lost.
func (l *Lock) RestoreKeywords(before *Keywords) error {
	return l.editKeywords(func(k *Keywords) (changed bool, err error) { return k.restore(before), nil })
}

// Lost reports whether a letter has lost the name that it had before. Dovecot
// looks at files without the lock, too: a letter that is newer than the list it
// has read has no name there, and it writes its list with "unknown-<n>" over
// that which has the name.
func (k Keywords) Lost(before *Keywords) bool { return k.restore(before) }

func (k *Keywords) restore(before *Keywords) (changed bool) {
	for i, n := range before.Names {
		if n == "" || nameless(n, i) || k.Names[i] != "" && !nameless(k.Names[i], i) {
			continue
		}
		if _, elsewhere := k.Letter(n); !elsewhere {
			k.Names[i], changed = n, true
		}
	}
	return changed
}

// nameless reports whether name is what Dovecot calls letter i when it knows
// none: with a "?" for each keyword that was called so already.
func nameless(name string, i int) bool {
	return strings.EqualFold(strings.TrimRight(name, "?"), fmt.Sprintf("unknown-%d", i))
}

// allot gives letters to names. changed: some had none.
func (k *Keywords) allot(names []string) (letters Letters, left []string, changed bool, err error) {
	for _, n := range names {
		if !ValidKeyword(n) {
			return 0, nil, false, fail.New(fail.Invalid, "%q cannot be a keyword", n)
		}
		bit, ok := k.Letter(n)
		if !ok {
			if bit, ok = k.add(n); !ok {
				left = append(left, n)
				continue
			}
			changed = true
		}
		letters |= bit
	}
	return letters, left, changed, nil
}

// add takes the first free letter. "unknown-3" takes the letter it stands for.
func (k *Keywords) add(name string) (Letters, bool) {
	if num, ok := strings.CutPrefix(strings.ToLower(name), "unknown-"); ok {
		if i, err := strconv.Atoi(num); err == nil && i >= 0 && i < len(k.Names) && k.Names[i] == "" {
			k.Names[i] = name
			return 1 << i, true
		}
	}
	for i, n := range k.Names {
		if n == "" {
			k.Names[i] = name
			return 1 << i, true
		}
	}
	return 0, false
}

// editKeywords has edit change what the file says under its own lock: another
// program may have added names since it was read.
func (l *Lock) editKeywords(edit func(*Keywords) (changed bool, err error)) error {
	f := l.folder
	name := f.path(keywordsName)
	dot, err := disk.AcquireDotLock(context.Background(), f.tree.fs, name, disk.DotLockOptions{Perm: f.tree.opts.FilePerm, TempDir: f.path("tmp")})
	if err != nil {
		return ioError(err, "writing the keywords of folder %s", f.name)
	}
	k, err := f.Keywords()
	changed := false
	if err == nil {
		changed, err = edit(&k)
	}
	if err != nil || !changed {
		return errors.Join(err, dot.Release())
	}
	file, fresh, err := dot.Replacement()
	if err != nil {
		return ioError(errors.Join(err, dot.Release()), "writing the keywords of folder %s", f.name)
	}
	w := bufio.NewWriter(file)
	for i, n := range k.Names {
		if n != "" {
			fmt.Fprintf(w, "%d %s\n", i, n)
		}
	}
	return ioError(finishLocked(f.tree.fs, fresh, w, dot, k.Stamp), "writing the keywords of folder %s", f.name)
}

// finishLocked makes what was written to fresh, a dot lock's replacement, the new
// file, with a mtime at least a second later than that of the old one: Dovecot
// remembers the mtimes of keywords and subscriptions in whole seconds, and would
// write its memory over a change that came within the same one.
func finishLocked(fsys disk.FS, fresh string, w interface {
	io.Writer
	Flush() error
}, dot *disk.DotLock, old Stamp,
) error {
	err := w.Flush()
	if err == nil {
		err = growMtime(fsys, fresh, endOfSecond(old.Mtime))
	}
	if err != nil {
		return errors.Join(err, dot.Release())
	}
	return dot.Commit()
}

func endOfSecond(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Truncate(time.Second).Add(time.Second - 1)
}
