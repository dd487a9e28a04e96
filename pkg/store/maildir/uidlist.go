package maildir

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const uidlistName = "dovecot-uidlist"

// maxList caps what we read of a UID list: ten million messages.
const maxList = 1 << 30

// Stamp tells one state of a file from another without reading it.
type Stamp struct {
	ID    disk.ID
	Size  int64
	Mtime time.Time
}

// stampOf describes name; the zero Stamp means that it does not exist.
func stampOf(fsys disk.FS, name string) (Stamp, error) {
	now, err := disk.Peek(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return Stamp{}, nil
	}
	if err != nil {
		return Stamp{}, err
	}
	return Stamp{ID: now.ID, Size: now.Size, Mtime: now.ModTime}, nil
}

// UIDListStamp describes the folder's UID list; it is zero where there is none.
func (f *Folder) UIDListStamp() (Stamp, error) {
	s, err := stampOf(f.tree.fs, f.path(uidlistName))
	return s, ioError(err, "looking at folder %s", f.name)
}

// Same reports whether nothing has changed between two looks.
func (s Stamp) Same(o Stamp) bool {
	return s.ID == o.ID && s.Size == o.Size && s.Mtime.Equal(o.Mtime)
}

// UIDRecord is one line of a UID list.
type UIDRecord struct {
	UID  uint32
	Base string
	Ext  string // keys such as "W1234 P0001abc", kept as they are; often empty
}

// Size is the message's size as the list has it (key S), which Dovecot notes
// where the name does not say it; -1 when it has none.
func (r UIDRecord) Size() int64 {
	for key := range strings.FieldsSeq(r.Ext) {
		if n, err := strconv.ParseInt(key[1:], 10, 62); key[0] == 'S' && err == nil && n >= 0 {
			return n
		}
	}
	return -1
}

// UIDList is a dovecot-uidlist, read.
type UIDList struct {
	Validity uint32
	Next     uint32 // effective: above every UID listed
	GUID     string // 32 hexadecimal digits; empty in lists that have none yet
	Extra    string // header keys that we do not know, kept: "P%08Xu%08Xv"
	Records  []UIDRecord
	Stamp    Stamp

	// Stale says that the list should be written anew before it is appended
	// to: another version, no GUID, an unfinished last line, or damage.
	Stale bool
	// Damage tells what could not be understood; the rest was. It is of kind
	// Corrupt and names file and line.
	Damage error
}

// UIDList reads the folder's UID list. NotFound: there is none. No lock is
// needed for reading.
func (f *Folder) UIDList() (*UIDList, error) {
	name := f.path(uidlistName)
	file, err := f.tree.fs.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, ioError(err, "reading the UID list of folder %s", f.name)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, ioError(err, "reading %s", name)
	}
	if info.Size() > maxList {
		return nil, fail.New(fail.Corrupt, "%s: %d bytes are too many for a UID list", name, info.Size())
	}
	var text strings.Builder
	text.Grow(int(info.Size()))
	if _, err := io.Copy(&text, io.LimitReader(file, maxList)); err != nil {
		return nil, ioError(err, "reading %s", name)
	}
	l := ParseUIDList(name, text.String())
	l.Stamp = Stamp{ID: disk.IDOf(info), Size: int64(text.Len()), Mtime: info.ModTime()}
	return l, nil
}

// MayList reports whether the folder's UID list may have a line for one of
// these base names. It costs a tenth of reading the list, and is true in doubt.
func (f *Folder) MayList(bases []string) bool {
	file, err := f.tree.fs.OpenFile(f.path(uidlistName), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return true
	}
	defer file.Close()
	text := bufio.NewReaderSize(file, 64<<10)
	for first := true; ; first = false {
		line, err := text.ReadSlice('\n')
		if err != nil { // an unfinished last line is in need of repair
			return len(line) > 0 || first || !errors.Is(err, io.EOF)
		}
		if first && !bytes.HasPrefix(line, []byte("3 ")) {
			return true
		}
		line = line[:len(line)-1]
		for _, b := range bases {
			if at := len(line) - len(b); at >= 0 && string(line[at:]) == b {
				return true
			}
		}
	}
}

// UIDListHeader reads the first line of the folder's UID list: a UIDList
// without records, whose Next may lag behind. NotFound: there is none.
func (f *Folder) UIDListHeader() (*UIDList, error) {
	name := f.path(uidlistName)
	file, err := f.tree.fs.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, ioError(err, "reading the UID list of folder %s", f.name)
	}
	defer file.Close()
	var line [1024]byte
	n, err := file.ReadAt(line[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, ioError(err, "reading %s", name)
	}
	header, _, _ := strings.Cut(string(line[:n]), "\n")
	return ParseUIDList(name, header+"\n"), nil
}

// ParseUIDList understands versions 3 and 1 (also Courier's
// courierimapuiddb). It never fails: lines that make no sense, or whose UIDs
// do not grow, are left out and reported in Damage. name is for that text.
func ParseUIDList(name, text string) *UIDList {
	l := &UIDList{Next: 1}
	line, rest, whole := strings.Cut(text, "\n")
	version, header, _ := strings.Cut(line, " ")
	switch {
	case whole && version == "3" && l.parseHeader(header):
	case whole && version == "1" && l.parseHeader1(header):
		l.Stale = true
	default:
		l.damaged(name, 1, "no header of version 3 or 1")
	}
	l.Stale = l.Stale || l.GUID == ""
	l.Records = make([]UIDRecord, 0, strings.Count(rest, "\n"))
	last := uint32(0)
	for n := 2; rest != ""; n++ {
		line, rest, whole = strings.Cut(rest, "\n")
		if !whole {
			l.Stale = true // a write that did not finish; nobody was told of it
			break
		}
		r, ok := parseRecord(line, version == "1")
		if !ok || r.UID <= last {
			l.damaged(name, n, "no record, or a UID that does not grow")
			continue
		}
		last = r.UID
		l.Records = append(l.Records, r)
	}
	if last >= l.Next {
		l.Next = last + 1
	}
	return l
}

func (l *UIDList) damaged(name string, line int, what string) {
	l.Stale = true
	if l.Damage == nil {
		l.Damage = fail.New(fail.Corrupt, "%s:%d: %s", name, line, what)
	}
}

// parseHeader reads "V1795442559 N3 G68f1…": keys may come in any order.
func (l *UIDList) parseHeader(s string) bool {
	var extra []string
	for key := range strings.FieldsSeq(s) {
		n, err := strconv.ParseUint(key[1:], 10, 32)
		switch key[0] {
		case 'V':
			l.Validity = uint32(n)
			if err != nil {
				return false
			}
		case 'N':
			if err != nil {
				return false
			}
			l.Next = max(uint32(n), 1)
		case 'G':
			if _, err := hex.DecodeString(key[1:]); err == nil && len(key) == 33 {
				l.GUID = key[1:]
			}
		default:
			extra = append(extra, key)
		}
	}
	l.Extra = strings.Join(extra, " ")
	return l.Validity != 0
}

func (l *UIDList) parseHeader1(s string) bool {
	var v, n uint32
	if c, err := fmt.Sscan(s, &v, &n); c != 2 || err != nil || v == 0 {
		return false
	}
	l.Validity, l.Next = v, max(n, 1)
	return true
}

// parseRecord reads "<uid> [<key><value> …] :<base>", or "<uid> <name>" of
// version 1.
func parseRecord(line string, version1 bool) (UIDRecord, bool) {
	num, rest, ok := strings.Cut(line, " ")
	if !ok {
		return UIDRecord{}, false
	}
	uid, err := strconv.ParseUint(num, 10, 32)
	if err != nil || uid == 0 || uid == 1<<32-1 {
		return UIDRecord{}, false
	}
	r := UIDRecord{UID: uint32(uid), Base: rest}
	if !version1 {
		if r.Base, ok = strings.CutPrefix(rest, ":"); !ok {
			if r.Ext, r.Base, ok = strings.Cut(rest, " :"); !ok {
				return UIDRecord{}, false
			}
		}
	}
	r.Base, _, _ = strings.Cut(r.Base, ":")
	return r, ValidBase(r.Base)
}

// ValidBase reports whether s can be the base name of a message: an entry of a
// directory that Maildir does not ignore, and no path.
func ValidBase(s string) bool {
	return validFile(s) && !strings.ContainsAny(s, "/\x00\n:")
}

// appendRecord writes one line.
func appendRecord(dst []byte, r UIDRecord) []byte {
	dst = strconv.AppendUint(dst, uint64(r.UID), 10)
	if r.Ext != "" {
		dst = append(append(dst, ' '), r.Ext...)
	}
	return append(append(append(dst, " :"...), r.Base...), '\n')
}

func (l *UIDList) header() string {
	h := fmt.Sprintf("3 V%d N%d G%s", l.Validity, l.Next, l.GUID)
	if l.Extra != "" {
		h += " " + l.Extra
	}
	return h + "\n"
}

// newGUID makes a mailbox GUID of 32 hexadecimal digits.
func newGUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// AppendUIDs adds records behind the list that has stamp was and returns the
// list's new stamp; with durable it is on disk, else after SyncUIDs. After an
// error nothing of it may be shown, and the list must be rewritten before the
// next append (a failed sync is final).
//
// Crash points: maildir.uidlist.before_append, .before_sync, .after_sync.
func (l *Lock) AppendUIDs(was Stamp, recs []UIDRecord, durable bool) (Stamp, error) {
	f := l.folder
	name := f.path(uidlistName)
	file, err := f.tree.fs.OpenFile(name, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return Stamp{}, ioError(err, "appending to the UID list of folder %s", f.name)
	}
	defer file.Close()
	size := 0
	for _, r := range recs {
		size += len("4294967295  :\n") + len(r.Ext) + len(r.Base)
	}
	out := make([]byte, 0, size)
	for _, r := range recs {
		out = appendRecord(out, r)
	}
	disk.Point(f.tree.fs, "maildir.uidlist.before_append")
	_, err = file.Write(out)
	if err == nil && durable {
		disk.Point(f.tree.fs, "maildir.uidlist.before_sync")
		err = file.Sync()
	}
	if err != nil {
		_ = file.Truncate(was.Size) // half a line would be taken for damage
		return Stamp{}, ioError(err, "appending to the UID list of folder %s", f.name)
	}
	disk.Point(f.tree.fs, "maildir.uidlist.after_sync")
	info, err := file.Stat()
	if err != nil {
		return Stamp{}, ioError(err, "appending to the UID list of folder %s", f.name)
	}
	return Stamp{ID: disk.IDOf(info), Size: info.Size(), Mtime: info.ModTime()}, nil
}

// SyncUIDs makes what was appended to the UID list durable. After an error the
// list must be rewritten.
func (f *Folder) SyncUIDs() error {
	file, err := f.tree.fs.OpenFile(f.path(uidlistName), os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return ioError(err, "syncing the UID list of folder %s", f.name)
	}
	err = file.Sync()
	return ioError(errors.Join(err, file.Close()), "syncing the UID list of folder %s", f.name)
}

// Rewrite replaces the UID list by list, durably, and gives up the lock. A list
// without a GUID gets one. list.Stamp is updated.
func (l *Lock) Rewrite(list *UIDList) error {
	f := l.folder
	if list.GUID == "" {
		list.GUID = newGUID()
	}
	name := f.path(uidlistName)
	old, err := stampOf(f.tree.fs, name)
	var file disk.File
	var fresh string
	if err == nil {
		file, fresh, err = l.dot.Replacement()
	}
	if err != nil {
		return errors.Join(ioError(err, "rewriting the UID list of folder %s", f.name), l.Unlock())
	}
	w := bufio.NewWriterSize(file, 64<<10)
	_, _ = w.WriteString(list.header()) // errors stay in w until Flush
	var line []byte
	for i, r := range list.Records {
		line = appendRecord(line[:0], r)
		_, _ = w.Write(line)
		if i%10_000 == 0 {
			_ = l.dot.Touch()
		}
	}
	err = w.Flush()
	if err == nil {
		err = growMtime(f.tree.fs, fresh, old.Mtime)
	}
	if err != nil {
		return errors.Join(ioError(err, "rewriting the UID list of folder %s", f.name), l.Unlock())
	}
	err = l.dot.Commit()
	l.dot = nil
	if err != nil {
		return ioError(err, "rewriting the UID list of folder %s", f.name)
	}
	list.Stamp, err = stampOf(f.tree.fs, name)
	list.Stale, list.Damage = false, nil
	return ioError(err, "rewriting the UID list of folder %s", f.name)
}

// growMtime makes sure that a file that replaces another has a later mtime:
// that is how Dovecot notices.
func growMtime(fsys disk.FS, name string, old time.Time) error {
	info, err := fsys.Stat(name)
	if err != nil || info.ModTime().After(old) {
		return err
	}
	return disk.Chtimes(fsys, name, old.Truncate(time.Second).Add(time.Second))
}
