package spool

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/postcote/postcote/pkg/mta/queue/format"
	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Report is what Check found.
type Report struct {
	Messages int
	Bytes    int64
	Segments int
	Orphans  int // bodies without a message; no damage
	Unlisted int // messages that only their records speak of, since the state log is damaged
	Damage   []*Damage
	Repaired int // damaged messages taken out of the queue; their bytes are in DIR/damaged
}

// Check reads every byte of a queue that no process uses (else kind
// Unavailable). It changes nothing unless repair is set; then damaged
// stretches are put aside, damaged messages leave the queue, and what only
// records speak of is in the queue on hold.
func Check(ctx context.Context, cfg Config, repair bool) (*Report, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if repair {
		return checkAndRepair(ctx, cfg)
	}
	s := &Spool{cfg: cfg}
	if _, err := cfg.FS.Stat(cfg.dir(stateDir)); err != nil {
		return nil, fail.Wrap(fail.NotFound, err, "queue")
	}
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	defer s.lock.Close()
	m, err := load(&s.cfg)
	if err != nil {
		return nil, err
	}
	s.log.cfg = &s.cfg
	s.log.breakOff(errors.New("only checking"))
	s.take(m)
	r := &Report{Segments: len(m.files), Orphans: len(m.orphans()), Unlisted: m.salvage, Damage: m.damage}
	return r, s.checkAll(ctx, r, nil)
}

func checkAndRepair(ctx context.Context, cfg Config) (*Report, error) {
	s, rec, err := Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	r := &Report{Segments: s.Stats().Segments, Orphans: rec.Orphans, Unlisted: rec.Salvaged, Damage: rec.Damage}
	err = s.checkAll(ctx, r, func(e *Entry, d *Damage) {
		s.setAside(e, d)
		s.Remove(e)
		r.Repaired++
	})
	if cerr := s.Close(); err == nil {
		err = cerr
	}
	return r, err
}

// checkAll reads all messages.
func (s *Spool) checkAll(ctx context.Context, r *Report, damaged func(*Entry, *Damage)) error {
	for _, e := range s.Entries() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		flags, _ := s.Flags(e)
		err := s.verify(e)
		var d *Damage
		switch {
		case err == nil:
			if damaged != nil && flags&Damaged != 0 {
				s.SetFlags(e, 0, Damaged) // it can be read after all; still on hold
			}
			r.Messages++
			r.Bytes += e.size
		case errors.As(err, &d):
			if flags&Damaged == 0 {
				r.Damage = append(r.Damage, d)
			}
			if damaged != nil {
				damaged(e, d)
			}
		default:
			return err
		}
	}
	return nil
}

func (s *Spool) verify(e *Entry) error {
	if _, err := s.Envelope(e); err != nil {
		return err
	}
	c, err := s.Open(e)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.Copy(io.Discard, c.Body())
	return err
}

// setAside keeps the bytes of a damaged message that is about to leave.
func (s *Spool) setAside(e *Entry, d *Damage) {
	s.putAside(d)
	if e.flags&format.MsgExternal == 0 {
		return
	}
	name := filepath.Join(s.cfg.Dir, damagedDir, "large-"+e.ID.String())
	err := disk.MkdirAll(s.cfg.FS, s.cfg.dir(damagedDir), dirPerm)
	if err == nil {
		err = s.cfg.FS.Rename(s.cfg.largeFile(e.ID), name)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.cfg.warn(err)
	}
}
