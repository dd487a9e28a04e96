package maildrop

import (
	"bufio"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// List returns the paths of up to max complete messages, the oldest first.
func List(fsys disk.FS, dir string, max int) ([]string, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, kind(err)
	}
	var names []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, suffix) && n[0] != '.' {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	names = names[:min(len(names), max)]
	for i := range names {
		names[i] = filepath.Join(dir, names[i])
	}
	return names, nil
}

// Mail is an opened message of the folder.
type Mail struct {
	Envelope
	UID  int   // owner of the file
	Size int64 // of the message

	file disk.File
	at   int64
}

// Open opens a message and compares its checksum. An error of kind
// fail.Corrupt means that it will never be right; see SetAside.
func Open(fsys disk.FS, name string) (*Mail, error) {
	// No link, and nothing whose opening waits for a peer.
	f, err := fsys.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENXIO):
		return nil, fail.Wrap(fail.Corrupt, err, "not a file that sendmail wrote")
	case err != nil:
		return nil, kind(err)
	}
	m := &Mail{file: f}
	if err := m.load(name); err != nil {
		_ = f.Close()
		return nil, err
	}
	return m, nil
}

func (m *Mail) load(name string) error {
	info, err := m.file.Stat()
	if err != nil {
		return kind(err)
	}
	m.UID, _ = disk.Owner(info)
	switch {
	case !info.Mode().IsRegular():
		return fail.New(fail.Corrupt, "%s: not a regular file", name)
	case disk.Links(info) > 1:
		// A hard link would lend the owner's name to somebody else.
		return fail.New(fail.Corrupt, "%s: has more than one name", name)
	case info.Mode().Perm()&0o022 != 0:
		return fail.New(fail.Corrupt, "%s: others than its owner could have written it", name)
	}
	err = m.verify(info.Size())
	return fail.Wrap(fail.KindOf(err), err, "%s", name)
}

// verify reads the whole file once.
func (m *Mail) verify(size int64) error {
	body := size - int64(trailerSize)
	if body < int64(len(magic)) {
		return fail.New(fail.Corrupt, "too short")
	}
	end := make([]byte, trailerSize)
	if _, err := m.file.ReadAt(end, body); err != nil {
		return err
	}
	length, want, err := parseTrailer(end)
	if err != nil {
		return err
	}
	sum := crc32.New(castagnoli)
	in := bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(m.file, 0, body), sum), 64<<10)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != magic {
		return fail.New(fail.Corrupt, "not a mail drop of version 1")
	}
	line, err := readLine(in)
	if err != nil {
		return err
	}
	env, err := parseEnvelope(line)
	if err != nil {
		return err
	}
	m.at = int64(len(magic) + len(line) + 1)
	if length != body-m.at {
		return fail.New(fail.Corrupt, "message of %d bytes, its end says %d", body-m.at, length)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	if sum.Sum32() != want {
		return fail.New(fail.Corrupt, "the checksum is wrong")
	}
	m.Envelope, m.Size = *env, length
	return nil
}

func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fail.Wrap(fail.Corrupt, err, "envelope")
		case len(line) > maxEnvelope:
			return nil, fail.New(fail.Corrupt, "envelope larger than %d bytes", maxEnvelope)
		}
	}
}

// Reader reads the message.
func (m *Mail) Reader() io.Reader { return io.NewSectionReader(m.file, m.at, m.Size) }

// Close closes the file.
func (m *Mail) Close() error { return m.file.Close() }

// Remove removes a message that is safe elsewhere.
func Remove(fsys disk.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return kind(err)
	}
	return nil
}

// SetAside renames what cannot be taken, so that it is not looked at again and
// the operator can.
func SetAside(fsys disk.FS, name string) error {
	return kindOrNil(fsys.Rename(name, strings.TrimSuffix(name, suffix)+".refused"))
}

func kindOrNil(err error) error {
	if err == nil {
		return nil
	}
	return kind(err)
}

// Tidy removes unfinished files that are older than age: their writers are gone.
func Tidy(fsys disk.FS, dir string, now time.Time, age time.Duration) error {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return kind(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") || !strings.HasSuffix(e.Name(), tmpSuffix) {
			continue
		}
		info, err := e.Info()
		if err == nil && now.Sub(info.ModTime()) > age {
			_ = fsys.Remove(filepath.Join(dir, e.Name()))
		}
	}
	return nil
}
