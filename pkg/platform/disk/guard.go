package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// ErrPoisoned is in the chain of every error of a Guard whose Sync failed.
var ErrPoisoned = errors.New("file must not be used again after a failed sync")

// PoisonError tells which file is poisoned and by what.
type PoisonError struct {
	Name  string
	Cause error // of the failed Sync
}

func (e *PoisonError) Error() string {
	return fmt.Sprintf("%s: %v: %v", e.Name, ErrPoisoned, e.Cause)
}

// Unwrap offers both the rule that was broken and the first cause.
func (e *PoisonError) Unwrap() []error { return []error{ErrPoisoned, e.Cause} }

// Guarded is a File that refuses everything but Close once a Sync failed.
//
// After a failed fsync Linux marks the dirty pages clean: the data is in
// memory, not on disk, and the next fsync reports success. So what was written
// since the last good Sync counts as lost, reads would show bytes that a
// restart does not find, and the only honest continuation is another file.
type Guarded struct {
	f      File
	name   string
	poison atomic.Pointer[PoisonError]
}

// Guard wraps f; name is for error texts.
func Guard(f File, name string) *Guarded { return &Guarded{f: f, name: name} }

// Poisoned returns the *PoisonError after a failed Sync, nil before.
func (g *Guarded) Poisoned() error {
	if p := g.poison.Load(); p != nil {
		return fail.Wrap(fail.Temporary, p, "")
	}
	return nil
}

// Unwrap returns the file behind.
func (g *Guarded) Unwrap() File { return g.f }

// Sync makes the data durable, or poisons the file.
func (g *Guarded) Sync() error {
	if err := g.Poisoned(); err != nil {
		return err
	}
	err := g.f.Sync()
	if err == nil {
		return nil
	}
	g.poison.CompareAndSwap(nil, &PoisonError{Name: g.name, Cause: err})
	return g.Poisoned()
}

func (g *Guarded) Read(p []byte) (int, error) {
	if err := g.Poisoned(); err != nil {
		return 0, err
	}
	return g.f.Read(p)
}

// ReadAt reads at an offset.
func (g *Guarded) ReadAt(p []byte, off int64) (int, error) {
	if err := g.Poisoned(); err != nil {
		return 0, err
	}
	return g.f.ReadAt(p, off)
}

func (g *Guarded) Write(p []byte) (int, error) {
	if err := g.Poisoned(); err != nil {
		return 0, err
	}
	return g.f.Write(p)
}

// WriteAt writes at an offset.
func (g *Guarded) WriteAt(p []byte, off int64) (int, error) {
	if err := g.Poisoned(); err != nil {
		return 0, err
	}
	return g.f.WriteAt(p, off)
}

// Truncate changes the length.
func (g *Guarded) Truncate(size int64) error {
	if err := g.Poisoned(); err != nil {
		return err
	}
	return g.f.Truncate(size)
}

// Stat describes the file.
func (g *Guarded) Stat() (fs.FileInfo, error) {
	if err := g.Poisoned(); err != nil {
		return nil, err
	}
	return g.f.Stat()
}

// Close closes the file, poisoned or not.
func (g *Guarded) Close() error { return g.f.Close() }
