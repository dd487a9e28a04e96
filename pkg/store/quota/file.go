package quota

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// The file and its rules (docs/formats/maildirsize.md).
const (
	fileName  = "maildirsize"
	maxFile   = 5120             // bytes; a longer file is counted anew
	maxGlance = 16 * maxFile     // a longer file gives no warnings
	recount   = 15 * time.Minute // age at which a file that says "full" is not believed
)

// Usage is what an account holds.
type Usage struct {
	Bytes    int64 // as stored
	Messages int64
}

// sums is a maildirsize file, read.
type sums struct {
	Usage
	limits Limits
	lines  int // of numbers: the first is a count, the rest is what came since
	at     time.Time
}

// errStale means that there is no file to be believed.
var errStale = errors.New("maildirsize must be counted anew")

// readSums reads the file of an account, of at most limit bytes. errStale: count
// anew.
func readSums(fsys disk.FS, root string, limit int64) (sums, error) {
	name := filepath.Join(root, fileName)
	f, err := fsys.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ELOOP):
		return sums{}, errStale
	case err != nil:
		return sums{}, fail.Wrap(fail.Temporary, err, "reading %s", name)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return sums{}, fail.Wrap(fail.Temporary, err, "reading %s", name)
	}
	if info.Size() > limit {
		return sums{}, errStale
	}
	text := make([]byte, info.Size())
	if n, _ := f.ReadAt(text, 0); n < len(text) {
		return sums{}, errStale // it was cut meanwhile
	}
	s, ok := parseSums(text)
	if !ok {
		return sums{}, errStale
	}
	s.at = info.ModTime()
	return s, nil
}

// parseSums reads "<bytes>S,<messages>C" and lines of two numbers.
func parseSums(text []byte) (s sums, ok bool) {
	first, rest, ok := bytes.Cut(text, []byte{'\n'})
	if !ok {
		return s, false
	}
	if s.limits, ok = parseLimits(string(first)); !ok {
		return s, false
	}
	for len(rest) > 0 {
		var line []byte
		if line, rest, ok = bytes.Cut(rest, []byte{'\n'}); !ok {
			return s, false // somebody is writing, or died doing it
		}
		f := strings.Fields(string(line))
		if len(f) != 2 {
			return s, false
		}
		b, err1 := strconv.ParseInt(f[0], 10, 62)
		n, err2 := strconv.ParseInt(f[1], 10, 62)
		if err1 != nil || err2 != nil {
			return s, false
		}
		s.Bytes, s.Messages = add(s.Bytes, b), add(s.Messages, n)
		s.lines++
	}
	// Fewer than nothing is what lost lines come to.
	return s, s.lines > 0 && s.Bytes >= 0 && s.Messages >= 0
}

// add stays within what 62 bits hold, so that hostile lines cannot wrap round.
func add(a, b int64) int64 { return max(min(a+b, 1<<61), -1<<61) }

func parseLimits(line string) (l Limits, ok bool) {
	if line == "" {
		return l, true
	}
	for part := range strings.SplitSeq(line, ",") {
		if part == "" {
			return l, false
		}
		n, err := strconv.ParseInt(part[:len(part)-1], 10, 62)
		if err != nil || n < 0 {
			return l, false
		}
		switch part[len(part)-1] {
		case 'S':
			l.Bytes = n
		case 'C':
			l.Messages = n
		default:
			return l, false
		}
	}
	return l, true
}

// header is the first line.
func (l Limits) header() string {
	var parts []string
	if l.Bytes > 0 {
		parts = append(parts, fmt.Sprintf("%dS", l.Bytes))
	}
	if l.Messages > 0 {
		parts = append(parts, fmt.Sprintf("%dC", l.Messages))
	}
	return strings.Join(parts, ",")
}

// appendSums adds a line to the file. A file that is not there is left so: it
// is counted when it is needed.
func appendSums(fsys disk.FS, root string, d Usage) error {
	name := filepath.Join(root, fileName)
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP) {
		return nil
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d %d\n", d.Bytes, d.Messages)
		err = errors.Join(err, f.Close())
	}
	return fail.Wrap(fail.Temporary, err, "writing %s", name)
}

// writeSums begins the file anew with a count. It is not synced: what a crash
// leaves does not parse, or is counted anew.
func writeSums(fsys disk.FS, root string, l Limits, u Usage, perm fs.FileMode) error {
	name := filepath.Join(root, fileName)
	tmp := fmt.Sprintf("%s.%d.tmp", name, os.Getpid())
	_ = fsys.Remove(tmp) // of a process that had our number
	f, err := fsys.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, perm)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // who has no mail yet has no folder for it either
	}
	if err != nil {
		return fail.Wrap(fail.Temporary, err, "writing %s", tmp)
	}
	_, err = fmt.Fprintf(f, "%s\n%d %d\n", l.header(), u.Bytes, u.Messages)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = fsys.Rename(tmp, name)
	}
	if err != nil {
		_ = fsys.Remove(tmp)
		return fail.Wrap(fail.Temporary, err, "writing %s", name)
	}
	return nil
}
