package maildir

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
)

// Meta is what is delivered besides the bytes.
type Meta struct {
	Flags    Flags
	Keywords []string  // IMAP keywords; letters are allotted under the UID list's lock
	Date     time.Time // INTERNALDATE; zero means now
}

// Delivered tells where a message is.
type Delivered struct {
	Folder string // canonical name
	Dir    string // "new" or "cur"
	File   string // file name within Dir, flags included
	Base   string // the name's permanent part
	Size   int64  // bytes as stored
	VSize  int64  // bytes with CRLF line ends
	Date   time.Time
}

// Delivery is a message on its way into a folder: a file in tmp/. It is an
// io.Writer of wire bytes: CRLF is stored as LF. Exactly one of Commit and
// Abort ends it; Abort after Commit does nothing.
type Delivery struct {
	folder *Folder
	base   string // without sizes
	tmp    string // path; "" when over
	source string // path of what is to be linked; there is no tmp
	file   disk.File
	text   collector
	keep   bool // text is wanted after Finish
	lf     *message.LFWriter
	err    error
	dest   string // path, once it is published
	done   Delivered
}

// Begin opens a delivery. NotFound: no such folder; Full: no space.
func (t *Tree) Begin(_ context.Context, folder string) (*Delivery, error) {
	f, err := t.Folder(folder)
	if err != nil {
		return nil, err
	}
	return f.begin()
}

func (f *Folder) begin() (*Delivery, error) {
	t := f.tree
	if link, err := f.throughLink(); err != nil {
		return nil, err
	} else if link {
		return nil, fail.New(fail.Denied, "%s is a symbolic link", f.dir)
	}
	d := &Delivery{folder: f, base: t.opts.Namer.Next()}
	d.tmp = f.path("tmp", d.base)
	file, err := t.fs.OpenFile(d.tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, t.opts.FilePerm)
	if err != nil {
		return nil, ioError(err, "delivering to folder %s", f.name)
	}
	d.file, d.text = file, collector{file: file, from: t.opts.Buffers}
	d.lf = message.NewLFWriter(&d.text)
	return d, nil
}

// Keep has Text be there until Abort, which then ends every delivery.
func (d *Delivery) Keep() { d.keep = true }

// Text is a finished message as it is stored, nil when nobody has asked for it
// before, or when it is a large one.
func (d *Delivery) Text() []byte {
	if !d.keep || d.text.spilled || d.text.held == nil {
		return nil
	}
	return *d.text.held
}

// Write stores p. Full: the disk is full; the delivery can only be aborted.
func (d *Delivery) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.lf.Write(p)
	if err != nil {
		d.err = ioError(err, "writing %s", d.tmp)
	}
	return n, d.err
}

// Size is how many bytes are stored so far.
func (d *Delivery) Size() int64 {
	if d.lf == nil { // a link to another message
		return d.done.Size
	}
	return d.lf.Size()
}

// Commit makes the message durable and publishes it: new/ without flags, cur/
// with flags. When it returns an error nothing was published.
//
// Crash points: maildir.deliver.before_sync (a file in tmp/ stays),
// .before_rename (the same), .before_syncdir (the message may be there or
// not; nobody was told), .after_syncdir.
func (d *Delivery) Commit(ctx context.Context, m Meta) (Delivered, error) {
	done, err := d.Publish(ctx, m)
	if err == nil {
		err = d.Settle()
	}
	if err != nil {
		return Delivered{}, err
	}
	return done, nil
}

// Publish is the first half of Commit: the bytes are durable and the message
// has its name, which a crash may take back. Settle, Published or Abort ends
// the delivery; an error has ended it.
func (d *Delivery) Publish(ctx context.Context, m Meta) (Delivered, error) {
	err := d.Finish(m.Date)
	if err == nil {
		err = d.publish(ctx, m)
	}
	if err != nil {
		d.Abort()
		return Delivered{}, err
	}
	return d.done, nil
}

// Settle is the second half: it makes the name durable. When it returns an
// error the message is gone again.
func (d *Delivery) Settle() error {
	fsys := d.folder.tree.fs
	disk.Point(fsys, "maildir.deliver.before_syncdir")
	if err := fsys.SyncDir(d.folder.path(d.done.Dir)); err != nil {
		d.Abort()
		return ioError(err, "delivering to folder %s", d.folder.name)
	}
	disk.Point(fsys, "maildir.deliver.after_syncdir")
	d.Published()
	return nil
}

// Finish makes the bytes durable and the sizes known; the message is still in
// tmp/. Commit does it by itself.
func (d *Delivery) Finish(date time.Time) error {
	if d.file == nil || d.err != nil {
		return d.err
	}
	err := d.lf.Flush()
	if err == nil {
		err = d.text.flush()
	}
	if !d.keep {
		d.text.release()
	}
	t := d.folder.tree
	if date.IsZero() {
		date = t.opts.Now()
	}
	date = date.Truncate(time.Second)
	if err == nil {
		// Before the sync, which makes it durable with the size, and before
		// the message has a name: imapd is another user and could not do it.
		err = disk.Chtimes(t.fs, d.tmp, date)
	}
	if err == nil {
		disk.Point(t.fs, "maildir.deliver.before_sync")
		err = d.file.Sync()
	}
	if cerr := d.file.Close(); err == nil {
		err = cerr
	}
	d.file = nil
	if err != nil {
		d.err = ioError(err, "writing %s", d.tmp)
		return d.err
	}
	size, vsize := d.lf.Size(), d.lf.VSize()
	d.done = Delivered{Folder: d.folder.name, Base: WithSizes(d.base, size, vsize), Size: size, VSize: vsize, Date: date}
	return nil
}

// publish gives the finished file its name.
func (d *Delivery) publish(ctx context.Context, m Meta) error {
	name, err := d.folder.nameFor(ctx, &d.done, m)
	if err != nil {
		return err
	}
	fsys := d.folder.tree.fs
	disk.Point(fsys, "maildir.deliver.before_rename")
	if err := disk.RenameFile(fsys, d.tmp, name); err != nil {
		return ioError(err, "delivering to folder %s", d.folder.name)
	}
	d.dest = name
	return nil
}

// nameFor decides between new/ and cur/ and returns the path.
func (f *Folder) nameFor(ctx context.Context, d *Delivered, m Meta) (string, error) {
	info := Info{Flags: m.Flags}
	if len(m.Keywords) > 0 {
		letters, err := f.allot(ctx, m.Keywords)
		if err != nil {
			return "", err
		}
		info.Letters = letters
	}
	d.Dir, d.File = "new", d.Base
	if info.Flags != 0 || info.Letters != 0 {
		d.Dir, d.File = "cur", Join(d.Base, info)
	}
	return f.path(d.Dir, d.File), nil
}

// allot returns the letters of keywords, taking the UID list's lock.
func (f *Folder) allot(ctx context.Context, names []string) (Letters, error) {
	l, err := f.Lock(ctx)
	if err != nil {
		return 0, err
	}
	letters, _, err := l.AllotKeywords(names)
	return letters, errors.Join(err, l.Unlock())
}

// Abort removes what was written.
func (d *Delivery) Abort() {
	fsys := d.folder.tree.fs
	d.text.release()
	if d.file != nil {
		_ = d.file.Close()
		d.file = nil
	}
	if d.dest != "" {
		_ = fsys.Remove(d.dest)
	} else if d.tmp != "" {
		_ = fsys.Remove(d.tmp)
	}
	d.tmp, d.dest = "", ""
	if d.err == nil {
		d.err = fail.New(fail.Invalid, "the delivery is over")
	}
}

// Deliver is Begin, copy and Commit. Kinds: NotFound (no such folder, see
// Ensure), Full, Denied, Invalid (folder name); else Temporary. An error of r
// is returned wrapped and nothing stays behind.
func (t *Tree) Deliver(ctx context.Context, folder string, m Meta, r io.Reader) (Delivered, error) {
	d, err := t.Begin(ctx, folder)
	if err != nil {
		return Delivered{}, err
	}
	if _, err := io.Copy(d, r); err != nil {
		d.Abort()
		return Delivered{}, err
	}
	return d.Commit(ctx, m)
}

// Link publishes the very file of an earlier delivery (of this tree or from)
// in another folder by a hard link, so that the bytes are written once for
// all recipients whose copies are the same; the date is shared. As after
// Publish, the name is durable after Settle. Where links cannot be made
// (another file system) the bytes are copied. NotFound: the first recipient
// has removed the message meanwhile.
func (t *Tree) Link(ctx context.Context, from *Tree, d Delivered, folder string, m Meta) (*Delivery, Delivered, error) {
	src, err := from.Folder(d.Folder)
	if err != nil {
		return nil, Delivered{}, err
	}
	dst, err := t.Folder(folder)
	if err != nil {
		return nil, Delivered{}, err
	}
	old, err := src.find(d)
	if err != nil {
		return nil, Delivered{}, err
	}
	l := &Delivery{folder: dst}
	l.done = Delivered{Folder: dst.name, Base: WithSizes(t.opts.Namer.Next(), d.Size, d.VSize), Size: d.Size, VSize: d.VSize, Date: d.Date}
	name, err := dst.nameFor(ctx, &l.done, m)
	if err != nil {
		return nil, Delivered{}, err
	}
	err = t.fs.Link(old, name)
	switch {
	case errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EMLINK), errors.Is(err, syscall.EPERM), errors.Is(err, errors.ErrUnsupported):
		return t.copyFrom(ctx, old, d, folder, m)
	case err != nil:
		return nil, Delivered{}, ioError(err, "linking into folder %s", dst.name)
	}
	l.dest = name
	return l, l.done, nil
}

// find returns the path of a message whose flags may have changed since.
func (f *Folder) find(d Delivered) (string, error) {
	if d.Dir != "" {
		path := f.path(d.Dir, d.File)
		if _, err := f.tree.fs.Stat(path); err == nil {
			return path, nil
		}
	}
	for _, dir := range []string{"new", "cur"} {
		entries, err := f.tree.fs.ReadDir(f.path(dir))
		if err != nil {
			return "", ioError(err, "looking for a message in folder %s", f.name)
		}
		for _, e := range entries {
			if base, _, _ := strings.Cut(e.Name(), ":"); base == d.Base {
				return f.path(dir, e.Name()), nil
			}
		}
	}
	return "", fail.Wrap(fail.NotFound, fs.ErrNotExist, "message %s in %s", d.Base, filepath.Base(f.dir))
}

func (t *Tree) copyFrom(ctx context.Context, path string, d Delivered, folder string, m Meta) (*Delivery, Delivered, error) {
	f, err := t.fs.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, Delivered{}, ioError(err, "copying %s", path)
	}
	defer f.Close()
	to, err := t.Begin(ctx, folder)
	if err != nil {
		return nil, Delivered{}, err
	}
	if _, err := io.Copy(to, f); err != nil {
		to.Abort()
		return nil, Delivered{}, err
	}
	m.Date = d.Date
	done, err := to.Publish(ctx, m)
	return to, done, err
}

// Buffers lends deliveries the memory in which they collect a message, so that
// most are written at once.
type Buffers struct{ pool sync.Pool } // of *[]byte

const (
	usualText = 16 << 10
	maxText   = 64 << 10 // what is larger is written in pieces of that size
)

// collector collects a message for its file.
type collector struct {
	file    disk.File
	from    *Buffers
	held    *[]byte // nil: nothing is borrowed
	spilled bool    // it is only the end of the message
}

// Write never keeps p.
func (c *collector) Write(p []byte) (int, error) {
	if c.held == nil {
		if c.held, _ = c.from.pool.Get().(*[]byte); c.held == nil {
			c.held = new(make([]byte, 0, usualText))
		}
	}
	b := *c.held
	if len(b)+len(p) > maxText {
		c.spilled = true
		if err := c.flush(); err != nil {
			return 0, err
		}
		if b = b[:0]; len(p) > maxText {
			return c.file.Write(p)
		}
	}
	*c.held = append(b, p...)
	return len(p), nil
}

// flush writes what is held to the file. It stays what is held, unless more
// comes.
func (c *collector) flush() error {
	if c.held == nil || len(*c.held) == 0 {
		return nil
	}
	_, err := c.file.Write(*c.held)
	return err
}

func (c *collector) release() {
	if c.held != nil {
		*c.held = (*c.held)[:0]
		c.from.pool.Put(c.held)
		c.held = nil
	}
}
