package dovecot

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const (
	indexName = "dovecot.index"
	logName   = "dovecot.index.log"
	filePerm  = 0o660
)

// Raise sees to it that a Dovecot that opens the folder in dir says that its
// HIGHESTMODSEQ is at least modseq, because clients have been told of it. It
// appends one transaction to dovecot.index.log, holding Dovecot's lock on it.
// Where that log is missing or Dovecot would not believe it, it is begun anew
// with that value: Dovecot then makes its index from the UID list, the file
// names and the keywords, as it does when somebody has removed it.
//
// Unavailable: the lock was not given back before ctx was done. Crash point:
// dovecot.raise.before_sync.
func Raise(ctx context.Context, fsys disk.FS, dir string, modseq uint64, now time.Time) error {
	name := filepath.Join(dir, logName)
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return begin(fsys, dir, modseq, now)
	}
	if err != nil {
		return ioError(err, name)
	}
	defer f.Close()
	if err := disk.Lock(ctx, f, disk.Exclusive); err != nil {
		return err
	}
	log, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return ioError(err, name)
	}
	if !believed(fsys, dir, log) {
		return begin(fsys, dir, modseq, now)
	}
	return ioError(add(fsys, f, log, modseq), name)
}

func ioError(err error, name string) error {
	kind := fail.Temporary
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		kind = fail.Denied
	case disk.IsFull(err):
		kind = fail.Full
	}
	return fail.Wrap(kind, err, "raising the MODSEQ in %s", name)
}

// believed reports whether Dovecot would go on with this log: it counts
// MODSEQs, is of this machine's byte order, and is of the index (indexid at 16,
// the sequence number of its log at 60), if there is one.
func believed(fsys disk.FS, dir string, log []byte) bool {
	const littleEndian = 1
	le := binary.LittleEndian
	start, ok := initial(log)
	if !ok || start == 0 || len(log) == maxFile || le.Uint32(log[4:]) == 0 {
		return false
	}
	if minor := log[1]; minor >= 2 && log[32] != littleEndian {
		return false
	}
	f, err := fsys.OpenFile(filepath.Join(dir, indexName), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		return false
	}
	defer f.Close()
	var head [64]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return false
	}
	return le.Uint32(head[16:]) == le.Uint32(log[4:]) && le.Uint32(head[60:]) <= le.Uint32(log[8:])
}

// add appends the transaction that sets the MODSEQ: that of no message (UID 0),
// by a change outside of any session, as doveadm's --min-highest-modseq does.
func add(fsys disk.FS, f disk.File, log []byte, modseq uint64) error {
	le := binary.LittleEndian
	end := transactions(log, func(uint32, []byte) {})
	if end < len(log) { // what a crash left half written; Dovecot cuts it off, too
		if err := f.Truncate(int64(end)); err != nil {
			return err
		}
	}
	rec := make([]byte, recHeader+12)
	putOffset(rec, len(rec))
	le.PutUint32(rec[4:], modseqUpdate|external)
	le.PutUint32(rec[12:], uint32(modseq))
	le.PutUint32(rec[16:], uint32(modseq>>32))
	if _, err := f.WriteAt(rec, int64(end)); err != nil {
		return err
	}
	disk.Point(fsys, "dovecot.raise.before_sync")
	return f.Sync()
}

// begin writes an empty log that begins with modseq, or with the folder's
// value if that is higher. The index goes first: with the new log it would be
// another's.
func begin(fsys disk.FS, dir string, modseq uint64, now time.Time) error {
	if old, _, err := ModSeq(fsys, dir); err == nil {
		modseq = max(modseq, old)
	}
	name := filepath.Join(dir, logName)
	for _, old := range []string{indexName, indexName + ".cache", logName + ".2"} {
		if err := fsys.Remove(filepath.Join(dir, old)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return ioError(err, name)
		}
	}
	return ioError(disk.WriteFile(fsys, name, emptyLog(modseq, uint32(now.Unix())), filePerm), name)
}

// emptyLog is the header of a log: version 1.2, its size, indexid, sequence
// number, that and end of the log before it (none), time, initial MODSEQ,
// byte order.
func emptyLog(modseq uint64, now uint32) []byte {
	le := binary.LittleEndian
	b := make([]byte, logHeader)
	b[0], b[1] = 1, 2
	le.PutUint16(b[2:], logHeader)
	le.PutUint32(b[4:], max(now, 1))
	le.PutUint32(b[8:], 1)
	le.PutUint32(b[20:], now)
	le.PutUint64(b[24:], modseq)
	b[32] = 1
	return b
}
