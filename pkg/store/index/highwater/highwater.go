package highwater

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/index"
)

// Name is the file in each folder.
const Name = "postcote-modseq"

const (
	header   = "postcote modseq 1"
	filePerm = 0o660
	maxFile  = 1 << 20
	maxNotes = 64 << 10 // bytes after which the notes are written anew

	// Margin is how far above what is needed the bound is put, so that it is
	// seldom written: an index reserves 1/16 of it at a time.
	Margin = 1 << 24
	// slack is what an index may reserve between two calls of Cover.
	slack = Margin / 4
	rest  = 1 << 12
)

// Mark is one folder's file. It is for one goroutine at a time.
type Mark struct {
	fs       disk.FS
	dir      func() string // of the folder, which may be renamed
	validity uint32
	known    bool
	bound    uint64
	again    uint64        // no write is tried before this MODSEQ: the last failed
	noted    []index.Range // when it was opened: ascending, apart
	gone     []index.Range // now
	notes    int           // bytes of the file
}

// Open reads the mark of a folder. Where there is none, or none that can be
// believed, Known is false; then err says why, if there is a file.
func Open(fsys disk.FS, dir func() string, validity uint32) (m *Mark, err error) {
	m = &Mark{fs: fsys, dir: dir, validity: validity}
	data, err := disk.ReadFile(fsys, m.name(), maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, fail.Wrap(fail.Temporary, err, "reading %s", m.name())
	}
	was, bound, gone, ok := parse(string(data))
	if !ok {
		return m, fail.New(fail.Corrupt, "%s cannot be understood", m.name())
	}
	m.known, m.bound, m.notes = true, bound, len(data)
	if was == validity {
		m.gone, m.noted = gone, merge(gone)
	}
	return m, nil
}

// merge sorts ranges and joins those that touch.
func merge(set []index.Range) []index.Range {
	set = slices.SortedFunc(slices.Values(set), func(a, b index.Range) int { return cmp.Compare(a.First, b.First) })
	out := set[:0]
	for _, r := range set {
		if n := len(out); n > 0 && r.First <= out[n-1].Last {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

func (m *Mark) name() string { return filepath.Join(m.dir(), Name) }

// Known reports whether the folder has been served before.
func (m *Mark) Known() bool { return m.known }

// Bound is above all MODSEQs that were given out; 0 where nothing is known.
func (m *Mark) Bound() uint64 { return m.bound }

// Gone reports whether the message of this UID was noted as expunged when the
// mark was opened.
func (m *Mark) Gone(uid uint32) bool {
	i, _ := slices.BinarySearchFunc(m.noted, uid, func(r index.Range, uid uint32) int { return cmp.Compare(r.Last, uid) })
	return i < len(m.noted) && m.noted[i].First <= uid
}

// Cover is called before a MODSEQ above modseq is given out. It raises the
// bound, durably, where modseq comes near it. After a failure it rests for some
// MODSEQs: what cannot be written now must not be tried at every change.
func (m *Mark) Cover(modseq uint64) error {
	if m.known && modseq+slack <= m.bound || modseq < m.again {
		return nil
	}
	err := m.write(modseq+Margin, m.gone)
	if err != nil {
		m.again = modseq + rest
	}
	return err
}

// Expunged notes messages that are expunged, durably so in the index, and
// whose files are still there. all returns all of these, for when the notes are
// written anew.
func (m *Mark) Expunged(set []index.Range, all func() []index.Range) error {
	if !m.known {
		return nil
	}
	if m.notes > maxNotes {
		return m.write(m.bound, all())
	}
	line := note(set)
	f, err := m.fs.OpenFile(m.name(), os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err == nil {
		_, err = f.Write([]byte(line))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fail.Wrap(fail.Temporary, err, "writing %s", m.name())
	}
	m.gone, m.notes = append(m.gone, set...), m.notes+len(line)
	return nil
}

// Removed drops the notes: all files are gone.
func (m *Mark) Removed() error {
	if len(m.gone) == 0 || !m.known {
		return nil
	}
	f, err := m.fs.OpenFile(m.name(), os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err == nil {
		err = errors.Join(f.Truncate(int64(len(m.head()))), f.Close())
	}
	if err != nil {
		return fail.Wrap(fail.Temporary, err, "writing %s", m.name())
	}
	m.gone, m.notes = nil, 0
	return nil
}

func (m *Mark) write(bound uint64, gone []index.Range) error {
	old := m.bound
	m.bound = bound
	text := m.head()
	if len(gone) > 0 {
		text += note(gone)
	}
	if err := disk.WriteFile(m.fs, m.name(), []byte(text), filePerm); err != nil {
		m.bound = old
		return fail.Wrap(fail.Temporary, err, "noting MODSEQs")
	}
	m.known, m.gone, m.notes = true, slices.Clone(gone), len(text)
	return nil
}

func (m *Mark) head() string {
	return fmt.Sprintf("%s\nuidvalidity %d\nbound %d\n", header, m.validity, m.bound)
}

func note(set []index.Range) string {
	var b strings.Builder
	for _, r := range set {
		fmt.Fprintf(&b, "gone %d:%d\n", r.First, r.Last)
	}
	return b.String()
}

// parse reads a file. Notes end at the first that is not whole: somebody died
// writing it.
func parse(text string) (validity uint32, bound uint64, gone []index.Range, ok bool) {
	first, text, _ := strings.Cut(text, "\n")
	second, text, _ := strings.Cut(text, "\n")
	third, text, ok := strings.Cut(text, "\n")
	v, verr := number(second, "uidvalidity ", 32)
	bound, berr := number(third, "bound ", 62)
	if !ok || first != header || verr != nil || berr != nil {
		return 0, 0, nil, false
	}
	for {
		line, rest, whole := strings.Cut(text, "\n")
		a, b, pair := strings.Cut(line, ":")
		lo, err1 := number(a, "gone ", 32)
		hi, err2 := number(b, "", 32)
		if !whole || !pair || err1 != nil || err2 != nil || lo == 0 || lo > hi {
			return uint32(v), bound, gone, true
		}
		gone = append(gone, index.Range{First: uint32(lo), Last: uint32(hi)})
		text = rest
	}
}

func number(text, key string, bits int) (uint64, error) {
	digits, ok := strings.CutPrefix(text, key)
	if !ok {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(digits, 10, bits)
}
