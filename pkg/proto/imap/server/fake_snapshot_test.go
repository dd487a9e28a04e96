package server

import (
	"iter"
	"slices"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// fakeSnapshot is one state of a fakeBox.
type fakeSnapshot struct {
	info  Info
	rows  []Row
	gone  map[uint32]uint64
	since uint64
}

func (s *fakeSnapshot) row(uid uint32) (Row, bool) {
	if i := s.Find(uid); i < len(s.rows) && s.rows[i].UID == uid {
		return s.rows[i], true
	}
	return Row{}, false
}

func (s *fakeSnapshot) ChangedSince(modseq uint64, lo, hi int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := lo; i < min(hi, len(s.rows)); i++ {
			if s.rows[i].ModSeq > modseq && !yield(i) {
				return
			}
		}
	}
}

func (s *fakeSnapshot) Vanished(modseq uint64, uids imap.UIDSet) imap.UIDSet {
	var out wire.Set
	for uid := uint32(1); uid < s.info.UIDNext; uid++ {
		at, gone := s.gone[uid]
		if _, there := s.row(uid); modseq < s.since {
			gone = !there
		} else {
			gone = gone && at > modseq
		}
		if gone && uids.Contains(imap.UID(uid)) {
			out.Add(uid)
		}
	}
	return out.UIDs()
}

func (s *fakeSnapshot) Len() int     { return len(s.rows) }
func (s *fakeSnapshot) At(i int) Row { return s.rows[i] }

func (s *fakeSnapshot) Info() Info {
	info := s.info
	if n := len(s.rows); n > 0 {
		info.LastUID = s.rows[n-1].UID
	}
	return info
}

func (s *fakeSnapshot) Find(uid uint32) int {
	i, _ := slices.BinarySearchFunc(s.rows, uid, func(r Row, u uint32) int { return int(int64(r.UID) - int64(u)) })
	return i
}

func (s *fakeSnapshot) FirstUnseen() int {
	return slices.IndexFunc(s.rows, func(r Row) bool { return r.System&Seen == 0 })
}

func (s *fakeSnapshot) Changes(old Snapshot) Delta {
	var d Delta
	o := old.(*fakeSnapshot)
	for i, r := range o.rows {
		j := s.Find(r.UID)
		switch {
		case j == len(s.rows) || s.rows[j].UID != r.UID:
			d.Gone = append(d.Gone, i)
		case !sameFlags(s.rows[j], r) || s.rows[j].ModSeq != r.ModSeq:
			d.Changed = append(d.Changed, j)
		}
	}
	return d
}
