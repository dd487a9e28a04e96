package index

import (
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// Pending is a change of flags that was acknowledged and did not reach the
// file's name.
type Pending struct {
	Add, Remove                 uint8
	AddKeywords, RemoveKeywords []string
}

// Remains is what is left of a damaged index. The messages themselves are in
// the folder and the UID list.
type Remains struct {
	UIDValidity uint32
	UIDNext     uint32
	FirstRecent uint32
	ModSeq      uint64             // no MODSEQ above it was given out; 0 when nothing says so
	Pending     map[uint32]Pending // by UID
	Buried      map[uint32]string  // files to remove, by UID
}

// Salvage reads what it can from the index in dir without believing any of it
// more than its checksums. uids are the UIDs that exist, ascending. It never
// fails; nothing found is an empty Remains.
func Salvage(fsys disk.FS, dir string, uids []uint32) Remains {
	s := salvage{uids: uids, out: Remains{Pending: map[uint32]Pending{}, Buried: map[uint32]string{}}}
	s.base(fsys, filepath.Join(dir, baseName))
	for _, seq := range logSeqs(fsys, dir) {
		s.log(fsys, filepath.Join(dir, "log."+strconv.FormatUint(seq, 10)))
	}
	return s.out
}

// logSeqs lists the logs, oldest first.
func logSeqs(fsys disk.FS, dir string) []uint64 {
	entries, _ := fsys.ReadDir(dir)
	var seqs []uint64
	for _, e := range entries {
		if num, ok := strings.CutPrefix(e.Name(), "log."); ok {
			if n, err := strconv.ParseUint(num, 10, 64); err == nil {
				seqs = append(seqs, n)
			}
		}
	}
	sort.Slice(seqs, func(i, j int) bool { return seqs[i] < seqs[j] })
	return seqs
}

type salvage struct {
	uids     []uint32
	out      Remains
	keywords []string // by number; empty where the definition is lost
}

func (s *salvage) base(fsys disk.FS, name string) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	im, h, x, err := readBase(&source{file: f, name: name})
	if h.seq != 0 { // the header at least is good
		s.out.UIDValidity, s.out.UIDNext, s.out.FirstRecent = h.meta.UIDValidity, h.meta.UIDNext, h.meta.FirstRecent
		s.out.ModSeq = max(h.reserved, h.meta.HighestModSeq)
	}
	if err != nil {
		return
	}
	s.keywords = im.Keywords()
	for uid, base := range x.buried {
		s.out.Buried[uid] = base
	}
	for _, r := range im.Range(0, im.Len()) {
		if diff := r.Flags ^ r.FileFlags; r.UID != 0 && diff != 0 {
			s.out.Pending[r.UID] = Pending{Add: diff & r.Flags, Remove: diff & r.FileFlags}
		}
	}
}

// log goes through all frames that check, also behind damage.
func (s *salvage) log(fsys disk.FS, name string) {
	log, err := disk.ReadFile(fsys, name, maxLog)
	if err != nil {
		return
	}
	s.keywords = nil // each log begins with those it uses
	for off, ok := int64(logHeader), true; ok; off, ok = nextFrame(log, off) {
		for {
			payload, _, next, whole := readFrame(log, off)
			if !whole {
				break
			}
			d := decoder{b: payload}
			for len(d.b) > 0 && !d.bad && s.step(&d) {
				continue
			}
			off = next
		}
	}
}

// step looks at one operation; false when it is unknown.
func (s *salvage) step(d *decoder) bool {
	x := extra{buried: s.out.Buried}
	p := player{x: &x}
	code := d.byte()
	switch code {
	case opReserve:
		s.out.ModSeq = max(s.out.ModSeq, d.uint())
	case opUIDNext:
		s.out.UIDNext = max(s.out.UIDNext, d.uid())
	case opRecent:
		s.out.FirstRecent = max(s.out.FirstRecent, d.uid())
	case opKeyword:
		id, name := d.uint(), d.text(maxText)
		if d.bad || id >= MaxKeywords {
			return false
		}
		for len(s.keywords) <= int(id) {
			s.keywords = append(s.keywords, "")
		}
		s.keywords[id] = name
	case opFlags:
		s.flags(d)
	case opFile:
		delete(s.out.Pending, d.uid())
		d.uint()
		d.uint()
		d.uint()
		d.text(maxNameLen)
	case opPending:
		s.pending(d)
	case opBury:
		uid := d.uid()
		if base := d.text(maxNameLen); !d.bad {
			s.out.Buried[uid] = base
		}
	case opBuried:
		delete(s.out.Buried, d.uid())
	default:
		// The rest is in the folder, or can be learned again.
		p.d, p.in = *d, newInterner(tables{})
		p.e = newEditor(newImage(Meta{}, nil, p.in.tables, history{}), p.in)
		ok := p.step(code)
		*d = p.d
		s.out.UIDNext = max(s.out.UIDNext, p.e.meta.UIDNext)
		s.out.ModSeq = max(s.out.ModSeq, p.e.meta.HighestModSeq)
		return ok
	}
	return true
}

func (s *salvage) flags(d *decoder) {
	modseq, add, remove := d.uint(), uint8(d.uint()), uint8(d.uint())
	p := player{d: *d}
	more, less := s.names(p.ids()), s.names(p.ids())
	s.out.ModSeq = max(s.out.ModSeq, modseq)
	p.ranges(func(r Range) {
		i := sort.Search(len(s.uids), func(i int) bool { return s.uids[i] >= r.First })
		for ; i < len(s.uids) && s.uids[i] <= r.Last; i++ {
			q := s.out.Pending[s.uids[i]]
			s.out.Pending[s.uids[i]] = q.then(Pending{add, remove, more, less})
		}
	})
	*d = p.d
}

func (s *salvage) names(ids []uint16) []string {
	var out []string
	for _, k := range ids {
		if int(k) < len(s.keywords) && s.keywords[k] != "" {
			out = append(out, s.keywords[k])
		}
	}
	return out
}

func (s *salvage) pending(d *decoder) {
	uid := d.uid()
	q := Pending{Add: uint8(d.uint()), Remove: uint8(d.uint())}
	for range 2 {
		n := d.uint()
		if n > MaxKeywords {
			d.fail()
			return
		}
		for range n {
			d.text(maxText)
		}
	}
	if !d.bad {
		s.out.Pending[uid] = s.out.Pending[uid].then(q)
	}
}

// then is one change after another: the later one wins.
func (p Pending) then(q Pending) Pending {
	p.Add, p.Remove = p.Add&^q.Remove|q.Add, p.Remove&^q.Add|q.Remove
	p.AddKeywords, p.RemoveKeywords = merge(p.AddKeywords, q.AddKeywords, q.RemoveKeywords), merge(p.RemoveKeywords, q.RemoveKeywords, q.AddKeywords)
	return p
}

// merge adds more to list and takes less away.
func merge(list, more, less []string) []string {
	if len(more) == 0 && len(less) == 0 {
		return list
	}
	var out []string
	for _, k := range append(append([]string(nil), list...), more...) {
		drop := false
		for _, l := range less {
			drop = drop || strings.EqualFold(k, l)
		}
		for _, o := range out {
			drop = drop || strings.EqualFold(k, o)
		}
		if !drop {
			out = append(out, k)
		}
	}
	return out
}
