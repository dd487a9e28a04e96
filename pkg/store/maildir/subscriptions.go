package maildir

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	subscriptionsName = "subscriptions"
	subscriptionsV2   = "V\t2\n\n"
	maxSubscriptions  = 16 << 20
)

// Subscriptions returns the subscribed names in the order of the file, in
// UTF-8 with the tree's separator. Names that cannot be folders of ours are
// left out (and kept in the file).
func (t *Tree) Subscriptions(_ context.Context) ([]string, error) {
	lines, v2, _, err := t.subscriptionLines()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, l := range lines {
		if n, ok := t.subscribedName(l, v2); ok {
			names = append(names, n)
		}
	}
	return names, nil
}

// HasSubscriptions reports whether there ever were any.
func (t *Tree) HasSubscriptions() (bool, error) {
	ok, err := disk.Exists(t.fs, filepath.Join(t.root, subscriptionsName))
	return ok, ioError(err, "looking for the subscriptions in %s", t.root)
}

// subscriptionLines reads the file's lines after its header.
func (t *Tree) subscriptionLines() (lines []string, v2 bool, stamp Stamp, err error) {
	name := filepath.Join(t.root, subscriptionsName)
	stamp, err = stampOf(t.fs, name)
	if err == nil && stamp == (Stamp{}) {
		return nil, true, stamp, nil
	}
	var data []byte
	if err == nil {
		data, err = disk.ReadFile(t.fs, name, maxSubscriptions)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, stamp, nil
	}
	if err != nil {
		return nil, false, stamp, ioError(err, "reading the subscriptions in %s", t.root)
	}
	text, v2 := strings.CutPrefix(string(data), subscriptionsV2)
	if !v2 {
		text, v2 = strings.CutPrefix(text, "V\t2\n")
	}
	for l := range strings.SplitSeq(text, "\n") {
		if l != "" {
			lines = append(lines, l)
		}
	}
	return lines, v2, stamp, nil
}

// subscribedName reads one line: version 2 has tabs between the parts,
// version 1 the separator of the storage.
func (t *Tree) subscribedName(line string, v2 bool) (string, bool) {
	sep := t.version1Separator()
	if v2 {
		sep = "\t"
	}
	if strings.EqualFold(line, Inbox) {
		return Inbox, true
	}
	parts := strings.Split(line, sep)
	for i, p := range parts {
		var ok bool
		if v2 {
			p = tabUnescape(p)
		}
		if parts[i], ok = DecodeMUTF7(p); !ok {
			return "", false
		}
	}
	name, err := t.canonical(strings.Join(parts, string(t.separator())))
	return name, err == nil
}

// version1Separator is the storage's own.
func (t *Tree) version1Separator() string {
	if t.nested() {
		return "/"
	}
	return "."
}

// subscriptionLine is a name as version 2 writes it.
func (t *Tree) subscriptionLine(name string) string {
	parts := strings.Split(name, string(t.separator()))
	for i, p := range parts {
		parts[i] = tabEscape(EncodeMUTF7(p))
	}
	return strings.Join(parts, "\t")
}

// Subscribe adds names, or takes them away, and writes the file in version 2.
// The folders need not exist. Invalid: a name could be no folder.
func (t *Tree) Subscribe(ctx context.Context, on bool, folders ...string) error {
	var names []string
	for _, f := range folders {
		name, err := t.canonical(f)
		if err != nil {
			return err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	file := filepath.Join(t.root, subscriptionsName)
	dot, err := disk.AcquireDotLock(ctx, t.fs, file, disk.DotLockOptions{Perm: t.opts.FilePerm, TempDir: filepath.Join(t.root, "tmp")})
	if err != nil {
		return ioError(err, "locking the subscriptions in %s", t.root)
	}
	old, v2, stamp, err := t.subscriptionLines()
	if err != nil {
		return errors.Join(err, dot.Release())
	}
	lines := t.subscribe(old, v2, names, on)
	if v2 && slices.Equal(lines, old) {
		return dot.Release() // nothing to change
	}
	own, fresh, err := dot.Replacement()
	if err != nil {
		return ioError(errors.Join(err, dot.Release()), "writing the subscriptions in %s", t.root)
	}
	w := bufio.NewWriter(own)
	_, _ = w.WriteString(subscriptionsV2)
	for _, l := range lines {
		_, _ = w.WriteString(l + "\n")
	}
	if err := finishLocked(t.fs, fresh, w, dot, stamp); err != nil {
		return ioError(err, "writing the subscriptions in %s", t.root)
	}
	return nil
}

// subscribe is the file's lines in version 2 with names added at the end, or
// without them. Lines that are no names stay.
func (t *Tree) subscribe(lines []string, v2 bool, names []string, on bool) (out []string) {
	left := slices.Clone(names)
	for _, l := range lines {
		n, ok := t.subscribedName(l, v2)
		switch {
		case ok && slices.Contains(names, n):
			at := slices.Index(left, n)
			if !on || at < 0 {
				continue
			}
			left = slices.Delete(left, at, at+1)
			l = t.subscriptionLine(n)
		case ok && !v2:
			l = t.subscriptionLine(n)
		case !v2:
			l = strings.ReplaceAll(tabEscape(l), t.version1Separator(), "\t")
		}
		out = append(out, l)
	}
	if on {
		for _, n := range left {
			out = append(out, t.subscriptionLine(n))
		}
	}
	return out
}

// tabEscape is Dovecot's escaping of one field of a tab-separated line.
func tabEscape(s string) string {
	return strings.NewReplacer("\x01", "\x011", "\t", "\x01t", "\r", "\x01r", "\n", "\x01n", "\x00", "\x010").Replace(s)
}

func tabUnescape(s string) string {
	return strings.NewReplacer("\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n", "\x010", "\x00").Replace(s)
}

// errNoFolder is for folders that went away while they were used.
func errNoFolder(name string) error { return fail.New(fail.NotFound, "no folder %s", name) }
