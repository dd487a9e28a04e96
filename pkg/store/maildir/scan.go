package maildir

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
)

// settle is Dovecot's MAILDIR_SYNC_SECS: a directory that changed within the
// last second may change again without its mtime showing it.
const settle = time.Second

// Place says in which directory a message file is.
type Place bool

// The two places.
const (
	InCur Place = false
	InNew Place = true
)

// Dir is the directory's name.
func (p Place) Dir() string {
	if p == InNew {
		return "new"
	}
	return "cur"
}

// DirStamp is one look at a directory's mtime.
type DirStamp struct {
	Mtime time.Time
	At    time.Time // when we looked, or later: see proven
}

// Trusted reports whether an unchanged mtime proves an unchanged directory:
// not when it was younger than a second when we looked.
func (s DirStamp) Trusted() bool { return !s.At.IsZero() && s.At.Sub(s.Mtime) > settle }

// Unchanged compares with an earlier look.
func (s DirStamp) Unchanged(earlier DirStamp) bool {
	return earlier.Trusted() && s.Mtime.Equal(earlier.Mtime)
}

// Stamps are the looks at everything that tells of changes in a folder.
type Stamps struct {
	New, Cur          DirStamp
	UIDList, Keywords Stamp
}

// Look stats the folder: four system calls. NotFound: it is gone.
func (f *Folder) Look() (Stamps, error) {
	s, err := f.LookAtDirs()
	if err != nil {
		return s, err
	}
	if s.UIDList, err = stampOf(f.tree.fs, f.path(uidlistName)); err == nil {
		s.Keywords, err = stampOf(f.tree.fs, f.path(keywordsName))
	}
	return s, ioError(err, "looking at folder %s", f.name)
}

// LookAtDirs is the half of Look that tells of messages.
func (f *Folder) LookAtDirs() (s Stamps, err error) {
	if s.New, err = f.lookDir("new"); err == nil {
		s.Cur, err = f.lookDir("cur")
	}
	return s, err
}

func (f *Folder) lookDir(dir string) (DirStamp, error) {
	at := f.tree.opts.Now()
	now, err := disk.Peek(f.tree.fs, f.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return DirStamp{}, errNoFolder(f.name)
	}
	if err != nil {
		return DirStamp{}, ioError(err, "looking at folder %s", f.name)
	}
	s := DirStamp{Mtime: now.ModTime, At: at}
	if !s.Trusted() && f.proven(dir, s.Mtime) {
		s.At = s.Mtime.Add(settle + 1)
	}
	return s, nil
}

// proven reports whether the next change of a directory will show in its mtime,
// although the last one is not a second old: where stamps are finer than that,
// and made by a clock that has moved on since.
func (f *Folder) proven(dir string, mtime time.Time) bool {
	if mtime.Nanosecond() == 0 {
		return false
	}
	clock, ok := disk.StampClock(f.tree.fs, f.path(dir))
	if !ok || !clock.After(mtime) {
		return false
	}
	again, err := disk.Peek(f.tree.fs, f.path(dir)) // since the clock was read
	return err == nil && again.ModTime.Equal(mtime)
}

// Files lists the message files in new/ or cur/, in no order, with the look at
// the directory that was taken before reading it.
func (f *Folder) Files(p Place) (files []string, stamp DirStamp, err error) {
	stamp, err = f.Lots(p, func(some []string) { files = append(files, some...) })
	return files, stamp, err
}

// Lots is Files in lots: fn gets some, which are its own, while the next are read.
func (f *Folder) Lots(p Place, fn func(files []string)) (DirStamp, error) {
	stamp, err := f.lookDir(p.Dir())
	if err != nil {
		return stamp, err
	}
	err = disk.ListFiles(f.tree.fs, f.path(p.Dir()), func(names []string) {
		fn(slices.DeleteFunc(names, func(n string) bool { return !listable(n) }))
	})
	return stamp, ioError(err, "listing %s of folder %s", p.Dir(), f.name)
}

// Print tells one set of names in a folder from another: what each name adds is
// summed up. Two sets have the same once in 2^64 times; the key is not known to
// anybody.
type Print struct {
	new, cur uint64
	at       int // changes of the Known it is from
}

// Known remembers by its Print what was in a folder when somebody knew all of
// it, through changes of his own, so that a look which finds nothing new costs
// no more than reading the directories. The zero Known knows nothing.
type Known struct {
	seed         maphash.Seed
	print        Print
	inNew, inCur bool // that half of print is known
}

func (k *Known) sum(file string) uint64 {
	if file == "" {
		return 0
	}
	return maphash.String(k.key(), file)
}

func (k *Known) key() maphash.Seed {
	if k.seed == (maphash.Seed{}) {
		k.seed = maphash.MakeSeed()
	}
	return k.seed
}

// Print is what a listing looks like that has begun; see Add.
func (k *Known) Print() Print { return Print{at: k.print.at} }

// Add adds files that were listed.
func (k *Known) Add(p *Print, in Place, files []string) {
	sum := &p.cur
	if in == InNew {
		sum = &p.new
	}
	for _, f := range files {
		*sum += k.sum(f)
	}
}

// Keep says that all of a listing is known now, with all also that of cur/. It
// does nothing when the folder was changed since.
func (k *Known) Keep(p Print, all bool) {
	if p.at != k.print.at {
		return
	}
	k.print.new, k.inNew = p.new, true
	if all {
		k.print.cur, k.inCur = p.cur, true
	}
}

// Changed says that the file old became another one, and that its owner knows.
// Either may be empty.
func (k *Known) Changed(from Place, old string, to Place, name string) {
	k.print.at++
	*k.half(from) -= k.sum(old)
	*k.half(to) += k.sum(name)
}

func (k *Known) half(p Place) *uint64 {
	if p == InNew {
		return &k.print.new
	}
	return &k.print.cur
}

// Forget is for when nobody is sure any more.
func (k *Known) Forget() {
	k.print.at++
	k.inNew, k.inCur = false, false
}

// Same reads the folder and reports whether in it is what is known.
func (k *Known) Same(f *Folder) (bool, error) {
	if !k.inNew || !k.inCur {
		return false, nil
	}
	p := Print{}
	for _, d := range []struct {
		place Place
		sum   *uint64
	}{{InNew, &p.new}, {InCur, &p.cur}} { // what moves meanwhile is seen twice, and not missed
		err := eachFile(f, d.place, func(name []byte) { *d.sum += maphash.Bytes(k.key(), name) })
		if errors.Is(err, errors.ErrUnsupported) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return p.new == k.print.new && p.cur == k.print.cur, nil
}

// Census is which files somebody expects in a folder, by the sum of each name:
// 100 000 names are compared with as many in a hundredth of a second.
type Census struct {
	k     *Known
	slots []expectation // a power of two, at most half of them taken
}

type expectation struct {
	sum uint64
	id  int // +1, negative when it was seen
}

// Census makes room for n files.
func (k *Known) Census(n int) *Census {
	size := 16
	for size < 2*n {
		size *= 2
	}
	return &Census{k: k, slots: make([]expectation, size)}
}

// Expect expects a file that the caller calls id; not more than there is room for.
func (c *Census) Expect(in Place, file []byte, id int) {
	sum := c.sum(in, file)
	i := int(sum) & (len(c.slots) - 1)
	for c.slots[i].id != 0 {
		i = (i + 1) & (len(c.slots) - 1)
	}
	c.slots[i] = expectation{sum, id + 1}
}

// sum tells the two places apart.
func (c *Census) sum(in Place, file []byte) uint64 {
	sum := maphash.Bytes(c.k.key(), file)
	if in == InNew {
		sum = ^sum
	}
	return sum
}

// saw reports whether a file was expected.
func (c *Census) saw(sum uint64) bool {
	for i := int(sum) & (len(c.slots) - 1); c.slots[i].id != 0; i = (i + 1) & (len(c.slots) - 1) {
		if x := &c.slots[i]; x.sum == sum {
			x.id = -max(x.id, -x.id)
			return true
		}
	}
	return false
}

// Missing are those that were not seen, in ascending order.
func (c *Census) Missing() []int {
	var out []int
	for _, x := range c.slots {
		if x.id > 0 {
			out = append(out, x.id-1)
		}
	}
	slices.Sort(out)
	return out
}

// Others lists new/ or cur/ as Files does, and calls other with what was not
// expected. What was listed is added to p. errors.ErrUnsupported: Files it is.
func (c *Census) Others(f *Folder, in Place, p *Print, other func(file string)) (DirStamp, error) {
	stamp, err := f.lookDir(in.Dir())
	if err != nil {
		return stamp, err
	}
	var total uint64
	err = eachFile(f, in, func(name []byte) {
		sum := c.sum(in, name)
		if !c.saw(sum) {
			other(string(name))
		}
		if in == InNew {
			sum = ^sum
		}
		total += sum
	})
	if in == InNew {
		p.new += total
	} else {
		p.cur += total
	}
	return stamp, err
}

// eachFile is Files for those who keep no name.
func eachFile(f *Folder, in Place, fn func(name []byte)) error {
	err := disk.EachFileName(f.tree.fs, f.path(in.Dir()), func(name []byte) {
		if validFile(name) && bytes.IndexByte(name, '\n') < 0 { // listable, without a copy
			fn(name)
		}
	})
	if errors.Is(err, errors.ErrUnsupported) {
		return errors.ErrUnsupported
	}
	return ioError(err, "listing folder %s", f.name)
}

// Message is an open message file.
type Message struct {
	disk.File
	size int64
	date time.Time
}

// Size is the number of bytes as stored.
func (m *Message) Size() int64 { return m.size }

// Date is the INTERNALDATE: the file's mtime.
func (m *Message) Date() time.Time { return m.date }

// OpenMessage opens a file of the folder for reading. NotFound: there is none
// of that name (any more).
func (f *Folder) OpenMessage(p Place, file string) (*Message, error) {
	// Not through a link, and not waiting for the writer of a pipe.
	h, err := f.tree.fs.OpenFile(f.path(p.Dir(), file), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, ioError(err, "opening a message of folder %s", f.name)
	}
	info, err := h.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fail.New(fail.Denied, "%s is no regular file", file)
	}
	if err != nil {
		_ = h.Close()
		return nil, ioError(err, "opening a message of folder %s", f.name)
	}
	return &Message{File: h, size: info.Size(), date: info.ModTime()}, nil
}

// LoadMessage reads a message of up to message.MaxMemory bytes into mem and
// returns its date; false: it is longer, see OpenMessage.
func (f *Folder) LoadMessage(p Place, file string, mem *message.Memory) (date time.Time, whole bool, err error) {
	l, err := disk.Load(f.tree.fs, f.path(p.Dir(), file), message.MaxMemory, mem.Buffer())
	if err == nil && !l.Regular {
		err = fail.New(fail.Denied, "%s is no regular file", file)
	}
	if err != nil {
		return date, false, ioError(err, "reading a message of folder %s", f.name)
	}
	if l.Whole {
		mem.Set(l.Text)
	}
	return l.ModTime, l.Whole, nil
}

// headSize is how much LoadHead reads: two pages, which the header of nearly every
// message fits in.
const headSize = 8 << 10

// LoadHead reads the beginning of a message into mem and returns its date.
func (f *Folder) LoadHead(p Place, file string, mem *message.Memory) (date time.Time, err error) {
	l, err := disk.LoadHead(f.tree.fs, f.path(p.Dir(), file), headSize, mem.Buffer())
	if err == nil && !l.Regular {
		err = fail.New(fail.Denied, "%s is no regular file", file)
	}
	mem.Set(l.Text)
	return l.ModTime, ioError(err, "reading a message of folder %s", f.name)
}

// StatMessage returns size and INTERNALDATE of a file.
func (f *Folder) StatMessage(p Place, file string) (size int64, date time.Time, err error) {
	info, err := f.tree.fs.Stat(f.path(p.Dir(), file))
	if err != nil {
		return 0, time.Time{}, ioError(err, "looking at a message of folder %s", f.name)
	}
	return info.Size(), info.ModTime(), nil
}

// Present reports whether a message file is there. errors.ErrUnsupported: it is
// no file.
func (f *Folder) Present(n Named) (bool, error) {
	if !listable(n.File) {
		return false, nil
	}
	info, err := f.tree.fs.Stat(f.path(n.In.Dir(), n.File))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && !info.Mode().IsRegular():
		return false, errors.ErrUnsupported
	}
	return err == nil, ioError(err, "looking at a message of folder %s", f.name)
}

// FileChanged is the ctime of a file, which moving it and changing its flags
// bring forward. NotFound: there is no such file.
func (f *Folder) FileChanged(p Place, file string) (time.Time, error) {
	info, err := f.tree.fs.Stat(f.path(p.Dir(), file))
	if err != nil {
		return time.Time{}, ioError(err, "looking at a message of folder %s", f.name)
	}
	return disk.ChangeTime(info), nil
}

// SetInfo renames a message in cur/ with info (from new/, when it is there):
// that is how Maildir stores flags. It is not synced, as in Dovecot: a crash
// may bring back the old flags. NotFound: there is no such file (any more).
func (f *Folder) SetInfo(p Place, file string, info Info) (newFile string, err error) {
	base, _ := Split(file)
	newFile = Join(base, info)
	if p == InCur && newFile == file {
		return file, nil
	}
	err = disk.RenameFile(f.tree.fs, f.path(p.Dir(), file), f.path("cur", newFile))
	return newFile, ioError(err, "changing flags in folder %s", f.name)
}

// RemoveMessage removes a message file; fail.NotFound when there is none of that
// name. It is not synced.
func (f *Folder) RemoveMessage(p Place, file string) error {
	err := f.tree.fs.Remove(f.path(p.Dir(), file))
	return ioError(err, "removing a message of folder %s", f.name)
}

// FixDuplicate deals with two files of one base name, which cannot both keep
// it: one name of the same file is removed, another file gets a new base name.
// It returns the new name of second in cur/, empty when it was removed. Call
// it under the lock.
func (l *Lock) FixDuplicate(place1 Place, first string, place2 Place, second string) (string, error) {
	f := l.folder
	a, err := f.tree.fs.Stat(f.path(place1.Dir(), first))
	if err != nil {
		return "", ioError(err, "two files of one name in folder %s", f.name)
	}
	b, err := f.tree.fs.Stat(f.path(place2.Dir(), second))
	if err != nil {
		return "", ioError(err, "two files of one name in folder %s", f.name)
	}
	if disk.IDOf(a) == disk.IDOf(b) && disk.IDOf(a) != (disk.ID{}) {
		if disk.Links(b) < 2 {
			return "", fail.New(fail.NotFound, "message %s got another name meanwhile", first)
		}
		if err := f.RemoveMessage(place2, second); !fail.Is(err, fail.NotFound) {
			return "", err
		}
		return "", nil
	}
	base, info := Split(second)
	fresh := f.tree.opts.Namer.Next()
	if size, vsize := Sizes(base); size >= 0 && vsize >= 0 {
		fresh = WithSizes(fresh, size, vsize)
	}
	name := Join(fresh, info)
	err = f.tree.fs.Rename(f.path(place2.Dir(), second), f.path("cur", name))
	return name, ioError(err, "two files of one name in folder %s", f.name)
}

// ErrNotLinked is in the chain of an error of Lock.Publish: a link that
// LinkLater has promised could not be made.
var ErrNotLinked = errors.New("not linked")

// LinkLater is LinkMessage that leaves the link to Lock.Publish, which makes it
// under the name that it is to have: one system call in place of four. false:
// the name does not say what there is to know, LinkMessage looks.
func (f *Folder) LinkLater(from *Folder, p Place, file string) (*Delivery, bool) {
	base, _ := Split(file)
	size, vsize := Sizes(base)
	if size < 0 || vsize < 0 {
		return nil, false
	}
	d := &Delivery{folder: f, base: f.tree.opts.Namer.Next(), source: from.path(p.Dir(), file)}
	d.done = Delivered{Folder: f.name, Base: WithSizes(d.base, size, vsize), Size: size, VSize: vsize}
	return d, true
}

// LinkMessage makes a copy of a message of another folder by a hard link, as a
// delivery that is finished. ok is false when links cannot be made there.
func (f *Folder) LinkMessage(from *Folder, p Place, file string) (d *Delivery, ok bool, err error) {
	t := f.tree
	base, _ := Split(file)
	d = &Delivery{folder: f, base: t.opts.Namer.Next()}
	d.tmp = f.path("tmp", d.base)
	err = t.fs.Link(from.path(p.Dir(), file), d.tmp)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		return nil, true, ioError(err, "copying a message of folder %s", from.name)
	default:
		return nil, false, nil // the caller copies the bytes and meets the reason, if there is one
	}
	info, err := t.fs.Stat(d.tmp)
	if err != nil {
		_ = t.fs.Remove(d.tmp)
		return nil, true, ioError(err, "copying a message of folder %s", from.name)
	}
	size, vsize := Sizes(base)
	d.done = Delivered{Folder: f.name, Base: d.base, Size: info.Size(), VSize: vsize, Date: info.ModTime()}
	if size >= 0 && vsize >= 0 {
		d.done.Base = WithSizes(d.base, size, vsize)
	}
	return d, true, nil
}

// Begin opens a delivery into this folder.
func (f *Folder) Begin() (*Delivery, error) { return f.begin() }
