package quota

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// Over says that an account is full. It is of kind fail.Full.
type Over struct {
	Large bool // it is the message alone that is too large
}

// IsOver reports whether err says that an account is full, or a message larger
// than may be stored: what the sender is to hear of, unlike a full disk.
func IsOver(err error) bool {
	var o *Over
	return errors.As(err, &o)
}

// Error is Dovecot's text, which log readers know.
func (o *Over) Error() string {
	if o.Large {
		return "Requested allocation size is too large"
	}
	return "Quota exceeded (mailbox for user is full)"
}

// Options of a Meter.
type Options struct {
	FS       disk.FS
	Tree     *maildir.Tree
	Rules    Rules
	MaxMail  int64            // largest message; 0 for no limit
	Grace    Grace            // how far Room lets an account that is below its limit above it
	Now      func() time.Time // nil means time.Now
	FilePerm fs.FileMode      // of maildirsize; 0 means 0660

	Warnings []Warning
	Warner   *Warner // gives Warnings; nil: nobody does
	User     string  // whose account it is, for Warner
}

// Meter measures one account. A nil *Meter limits nothing. Safe for concurrent
// use, also with other processes: the state is in the file.
type Meter struct {
	o  Options
	mu sync.Mutex // held while counting, so that it is done once

	warning sync.Mutex // held from before a change till after it, so that a limit is crossed once

	leavingBytes, leavingMessages atomic.Int64
}

// New returns the meter of an account.
func New(o Options) *Meter {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FilePerm == 0 {
		o.FilePerm = 0o660
	}
	return &Meter{o: o}
}

// Limits is what the account as a whole may hold.
func (m *Meter) Limits() Limits {
	if m == nil {
		return Limits{}
	}
	return m.o.Rules.Account()
}

// Usage is what the account holds. Where nothing is limited nothing is
// measured, and it is zero.
func (m *Meter) Usage(ctx context.Context) (Usage, error) {
	l := m.Limits()
	if l.None() {
		return Usage{}, nil
	}
	return m.usage(ctx, l)
}

func (m *Meter) usage(ctx context.Context, l Limits) (Usage, error) {
	s, err := readSums(m.o.FS, m.o.Tree.Root(), maxFile)
	switch {
	case errors.Is(err, errStale):
		return m.Recalculate(ctx)
	case err != nil:
		return Usage{}, err
	case s.limits != l, over(l, s.Usage) && m.o.Now().Sub(s.at) > recount:
		return m.Recalculate(ctx)
	}
	return s.Usage, nil
}

func over(l Limits, u Usage) bool {
	return l.Bytes > 0 && u.Bytes > l.Bytes || l.Messages > 0 && u.Messages > l.Messages
}

// Fits reports whether a message of so many bytes may be stored at all: nil, or
// an *Over.
func (m *Meter) Fits(bytes int64) error {
	if m == nil || m.o.MaxMail == 0 || bytes <= m.o.MaxMail {
		return nil
	}
	return fail.Wrap(fail.Full, &Over{Large: true}, "message of %d bytes", bytes)
}

// Room reports whether messages of so many bytes in all may be put into folder:
// nil, an *Over, or a failure to find out.
func (m *Meter) Room(ctx context.Context, folder string, bytes, messages int64) error {
	if m == nil || bytes <= 0 && messages <= 0 {
		return nil
	}
	l, counted := m.o.Rules.Limits(folder)
	if !counted || l.None() {
		return nil
	}
	u, err := m.usage(ctx, m.Limits())
	if err != nil {
		return err
	}
	if l.Bytes > 0 && u.Bytes < l.Bytes {
		l.Bytes += m.o.Grace.of(l.Bytes)
	}
	if over(l, Usage{u.Bytes + bytes, u.Messages + messages}) {
		return fail.Wrap(fail.Full, &Over{}, "folder %s", folder)
	}
	return nil
}

// Changed tells what was put into folder, or with negative numbers taken from
// it. An error means that the file is behind until it is counted anew.
func (m *Meter) Changed(folder string, bytes, messages int64) error {
	if m == nil || bytes == 0 && messages == 0 || m.Limits().None() {
		return nil
	}
	if _, counted := m.o.Rules.Limits(folder); !counted {
		return nil
	}
	if m.o.Warner == nil || len(m.o.Warnings) == 0 {
		return m.append(Usage{bytes, messages})
	}
	m.warning.Lock()
	defer m.warning.Unlock()
	before, known := m.glance()
	if err := m.append(Usage{bytes, messages}); err != nil || !known {
		return err
	}
	// Other processes write too: between two looks no crossing is missed,
	// though two processes may both see it.
	if after, known := m.glance(); known {
		if w, why, ok := Crossed(m.o.Warnings, before, after, m.Limits()); ok {
			m.o.Warner.warn(m.o.User, w, why)
		}
	}
	return nil
}

func (m *Meter) append(d Usage) error { return appendSums(m.o.FS, m.o.Tree.Root(), d) }

// glance is what the file says, though it may be due to be counted anew. It is
// not counted here: somebody waits.
func (m *Meter) glance() (u Usage, known bool) {
	s, err := readSums(m.o.FS, m.o.Tree.Root(), maxGlance)
	return s.Usage, err == nil && s.limits == m.Limits()
}

// Counts reports whether what is in folder counts.
func (m *Meter) Counts(folder string) bool {
	if m == nil {
		return false
	}
	_, counted := m.o.Rules.Limits(folder)
	return counted
}

// Forget has everything counted anew when it is next asked for.
func (m *Meter) Forget() error {
	if m.Limits().None() {
		return nil
	}
	return m.remove()
}

func (m *Meter) remove() error {
	err := m.o.FS.Remove(filepath.Join(m.o.Tree.Root(), fileName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fail.Wrap(fail.Temporary, err, "removing %s", fileName)
}

// Leaving tells of files whose messages were taken out by Changed and that are
// still there: a count leaves them out. With negative numbers they are removed.
func (m *Meter) Leaving(bytes, messages int64) {
	if m != nil {
		m.leavingBytes.Add(bytes)
		m.leavingMessages.Add(messages)
	}
}

// Recalculate counts all mail and writes the file; where nothing is limited
// there is none.
func (m *Meter) Recalculate(ctx context.Context) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := m.count(ctx)
	if err != nil {
		return u, err
	}
	if m.Limits().None() {
		return u, m.remove()
	}
	return u, writeSums(m.o.FS, m.o.Tree.Root(), m.Limits(), u, m.o.FilePerm)
}

// Count counts all mail, whether or not anything is limited, and leaves the
// file as it is.
func (m *Meter) Count(ctx context.Context) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count(ctx)
}

func (m *Meter) count(ctx context.Context) (Usage, error) {
	c := counting{m: m}
	folders, err := m.o.Tree.List(ctx)
	if err != nil {
		return Usage{}, err
	}
	for _, name := range folders {
		if _, counted := m.o.Rules.Limits(name); !counted {
			continue
		}
		f, err := m.o.Tree.Folder(name)
		if err != nil {
			return Usage{}, err
		}
		if err := c.folder(ctx, f); err != nil {
			return Usage{}, err
		}
	}
	u := c.sum
	return Usage{max(u.Bytes-m.leavingBytes.Load(), 0), max(u.Messages-m.leavingMessages.Load(), 0)}, nil
}
