package maildrop

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Writer is one message on its way into the folder. It ends with Commit or
// Abort.
type Writer struct {
	fsys disk.FS
	file disk.File
	dir  string
	tmp  string
	name string
	sum  uint32
	size int64
	done bool
}

// Create begins a file. The umask of the process decides whether mtad's group
// can read it: it has to be 0027 or looser for the group.
func Create(fsys disk.FS, dir string, env *Envelope, now time.Time) (*Writer, error) {
	head, err := appendHead(nil, env)
	if err != nil {
		return nil, err
	}
	var mark [8]byte
	_, _ = rand.Read(mark[:]) // never fails
	name := fmt.Sprintf("%016x-%s", now.UnixNano(), hex.EncodeToString(mark[:]))
	w := &Writer{fsys: fsys, dir: dir, tmp: filepath.Join(dir, "."+name+tmpSuffix), name: filepath.Join(dir, name+suffix)}
	w.file, err = fsys.OpenFile(w.tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return nil, kind(err)
	}
	if err := w.put(head); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

func kind(err error) error {
	if disk.IsFull(err) {
		return fail.Wrap(fail.Full, err, "mail drop")
	}
	return fail.Wrap(fail.Temporary, err, "mail drop")
}

func (w *Writer) put(p []byte) error {
	w.sum = crc32.Update(w.sum, castagnoli, p)
	if _, err := w.file.Write(p); err != nil {
		return kind(err)
	}
	return nil
}

// Write takes the message, lines ended by CRLF.
func (w *Writer) Write(p []byte) (int, error) {
	if err := w.put(p); err != nil {
		return 0, err
	}
	w.size += int64(len(p))
	return len(p), nil
}

// Commit makes the message durable and visible to mtad.
func (w *Writer) Commit() error {
	defer w.Abort()
	if _, err := w.file.Write(trailer(w.size, w.sum)); err != nil {
		return kind(err)
	}
	disk.Point(w.fsys, "maildrop.before_sync")
	if err := w.file.Sync(); err != nil {
		return kind(err)
	}
	disk.Point(w.fsys, "maildrop.before_rename")
	if err := w.fsys.Rename(w.tmp, w.name); err != nil {
		return kind(err)
	}
	disk.Point(w.fsys, "maildrop.before_syncdir")
	if err := w.fsys.SyncDir(w.dir); err != nil {
		_ = w.fsys.Remove(w.name) // the caller is told that it was not taken
		return kind(err)
	}
	w.done = true
	return w.file.Close()
}

// Abort drops what was not committed.
func (w *Writer) Abort() {
	if w.done {
		return
	}
	w.done = true
	_ = w.file.Close()
	_ = w.fsys.Remove(w.tmp)
}
