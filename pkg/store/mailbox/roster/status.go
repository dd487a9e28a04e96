package roster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/index"
)

// StatusName is the file of statuses in an account's index folder.
const StatusName = "statuses"

const (
	statusHeader = "postcote statuses 1"
	statusEnd    = "end"
	maxStatuses  = 32 << 20 // bytes of the file
	statusFields = 22
)

// Status is what STATUS says of a folder, and what the folder looked like.
type Status struct {
	Messages, Recent, Unseen, Deleted uint32
	UIDNext, UIDValidity              uint32
	HighestModSeq                     uint64
	Size                              int64 // -1: not known
	GUID                              string
	Look                              index.Stamps
}

// Statuses are those of folders that are not open. Safe for concurrent use.
type Statuses struct {
	mu     sync.Mutex
	byName map[string]Status
}

// LoadStatuses reads what the owner before has left. Whatever is wrong with
// it, what is returned can be used; the error is for the log.
func LoadStatuses(fsys disk.FS, file string, epoch uint64) (*Statuses, error) {
	s := &Statuses{byName: map[string]Status{}}
	data, err := disk.ReadFile(fsys, file, maxStatuses)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		var m map[string]Status
		if m, err = parseStatuses(string(data), epoch); err == nil && m != nil {
			s.byName = m
		}
	}
	if err != nil {
		return s, fail.Wrap(fail.Corrupt, err, "%s is not used", file)
	}
	return s, nil
}

// parseStatuses returns nil when the file is not of the owner of that epoch.
func parseStatuses(text string, epoch uint64) (map[string]Status, error) {
	lines, err := split(text, statusHeader)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, fail.New(fail.Corrupt, "line 2 does not tell the epoch")
	}
	first, isEpoch := strings.CutPrefix(lines[0], "epoch ")
	owner, err := strconv.ParseUint(first, 10, 64)
	if err != nil || !isEpoch {
		return nil, fail.New(fail.Corrupt, "line 2 does not tell the epoch")
	}
	if owner != epoch {
		return nil, nil
	}
	last := len(lines) - 1
	if lines[last] != statusEnd {
		return nil, fail.New(fail.Corrupt, "its last line is not %q", statusEnd)
	}
	m := make(map[string]Status, last)
	for i, l := range lines[1:last] {
		name, st, ok := parseStatus(l)
		if _, twice := m[name]; !ok || twice {
			return nil, fail.New(fail.Corrupt, "line %d is no status: %.80q", i+3, l)
		}
		m[name] = st
	}
	return m, nil
}

func parseStatus(line string) (name string, st Status, ok bool) {
	f := strings.Split(line, "\t")
	if len(f) != statusFields || f[0] == "" || hasControl(f[0]) || hasControl(f[1]) {
		return "", Status{}, false
	}
	var n [statusFields - 2]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(f[i+2], 10, 64); err != nil {
			return "", Status{}, false
		}
	}
	for i, dst := range []*uint32{&st.Messages, &st.Recent, &st.Unseen, &st.Deleted, &st.UIDNext, &st.UIDValidity} {
		if n[i] < 0 || n[i] > 1<<32-1 {
			return "", Status{}, false
		}
		*dst = uint32(n[i])
	}
	if n[6] < 0 || n[7] < -1 {
		return "", Status{}, false
	}
	st.GUID, st.HighestModSeq, st.Size = f[1], uint64(n[6]), n[7]
	n2 := n[8:]
	for _, d := range []*index.DirStamp{&st.Look.New, &st.Look.Cur} {
		d.Mtime, d.At, n2 = moment(n2[0]), moment(n2[1]), n2[2:]
	}
	for _, s := range []*index.FileStamp{&st.Look.UIDList, &st.Look.Keywords} {
		s.Dev, s.Ino, s.Size, s.Mtime, n2 = uint64(n2[0]), uint64(n2[1]), n2[2], moment(n2[3]), n2[4:]
	}
	return f[0], st, true
}

// moment and nanos keep the zero time.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func (st *Status) line(name string) string {
	l := fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d", name, st.GUID,
		st.Messages, st.Recent, st.Unseen, st.Deleted, st.UIDNext, st.UIDValidity, st.HighestModSeq, st.Size)
	for _, d := range []index.DirStamp{st.Look.New, st.Look.Cur} {
		l += fmt.Sprintf("\t%d\t%d", nanos(d.Mtime), nanos(d.At))
	}
	for _, s := range []index.FileStamp{st.Look.UIDList, st.Look.Keywords} {
		l += fmt.Sprintf("\t%d\t%d\t%d\t%d", int64(s.Dev), int64(s.Ino), s.Size, nanos(s.Mtime))
	}
	return l + "\n"
}

// Save leaves what is known to the owner that follows the one of this epoch.
// It is a cache, of which a crash may leave anything: nothing is synced, and
// the last line shows that all is there.
func (s *Statuses) Save(fsys disk.FS, file string, epoch uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nepoch %d\n", statusHeader, epoch)
	names := make([]string, 0, len(s.byName))
	for name := range s.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		st := s.byName[name]
		if l := st.line(name); !hasControl(name) && !hasControl(st.GUID) && b.Len()+len(l) <= maxStatuses {
			b.WriteString(l)
		}
	}
	b.WriteString(statusEnd + "\n")
	f, err := fsys.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, filePerm)
	if err != nil {
		return fail.Wrap(fail.Temporary, err, "writing %s", file)
	}
	_, err = f.Write([]byte(b.String()))
	if err = errors.Join(err, f.Close()); err != nil {
		return fail.Wrap(fail.Temporary, err, "writing %s", file)
	}
	return nil
}

// Get returns what is known of a folder.
func (s *Statuses) Get(name string) (Status, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, ok := s.byName[name]
	return st, ok
}

// Put is for a folder that is being closed.
func (s *Statuses) Put(name string, st Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[name] = st
}

// Drop forgets a folder that is being opened.
func (s *Statuses) Drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byName, name)
}

// DropTree forgets a folder and those below it: they get other names.
func (s *Statuses) DropTree(name string, sep byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	below := name + string(rune(sep))
	for n := range s.byName {
		if n == name || strings.HasPrefix(n, below) {
			delete(s.byName, n)
		}
	}
}
