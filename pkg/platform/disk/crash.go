package disk

import (
	"io/fs"
	"math/rand/v2"
	"slices"
)

// sector is the unit that a disk writes whole: a torn write ends at a
// multiple of it.
const sector = 512

// nameEdit sets one name of a folder; a nil inode removes it.
type nameEdit struct {
	dir  *inode
	name string
	to   *inode
}

type nameKey struct {
	dir  *inode
	name string
}

func (e nameEdit) key() nameKey { return nameKey{e.dir, e.name} }

// nameOp is a change of names that a crash keeps whole or drops whole.
//
// An operation depends on the earlier ones that touch the same name: no
// journal replays them the other way round. Operations on different names are
// independent, as on file systems that log them separately.
type nameOp struct {
	home  *inode // SyncDir of this folder settles it: the target folder of a rename
	edits []nameEdit
}

// touches reports whether op shares a name with keys.
func (op *nameOp) touches(keys map[nameKey]bool) bool {
	return slices.ContainsFunc(op.edits, func(e nameEdit) bool { return keys[e.key()] })
}

func (op *nameOp) addTo(keys map[nameKey]bool) {
	for _, e := range op.edits {
		keys[e.key()] = true
	}
}

// apply makes a change of names visible at once and safe later.
func (m *Forgetful) apply(home *inode, edits ...nameEdit) {
	now := m.now()
	for _, e := range edits {
		if old := e.dir.names[e.name]; old != nil {
			old.links--
			old.ctime = now
		}
		if e.to == nil {
			delete(e.dir.names, e.name)
		} else {
			e.dir.names[e.name] = e.to
			e.to.links++
			e.to.ctime = now
		}
		e.dir.mtime, e.dir.ctime = now, now
	}
	m.pending = append(m.pending, &nameOp{home: home, edits: edits})
}

// settle makes the changes in folder dir safe, and those they depend on.
func (m *Forgetful) settle(dir *inode) {
	keys := map[nameKey]bool{}
	chosen := make([]bool, len(m.pending))
	for i := len(m.pending) - 1; i >= 0; i-- {
		if op := m.pending[i]; op.home == dir || op.touches(keys) {
			chosen[i] = true
			op.addTo(keys)
		}
	}
	var rest []*nameOp
	for i, op := range m.pending {
		if !chosen[i] {
			rest = append(rest, op)
			continue
		}
		op.settle()
	}
	m.pending = rest
}

// settle makes one change of names safe.
func (op *nameOp) settle() {
	for _, e := range op.edits {
		if e.to == nil {
			delete(e.dir.safeNames, e.name)
		} else {
			e.dir.safeNames[e.name] = e.to
		}
	}
}

// openVolume implements volumer: a Forgetful is one file system.
func (m *Forgetful) openVolume(dir string) (volumeFile, error) {
	if err := m.enter(false); err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	defer m.mu.Unlock()
	if _, err := m.find(dir); err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return memVolume{m}, nil
}

type memVolume struct{ fs *Forgetful }

// syncAll makes every name safe, and the data behind each.
func (v memVolume) syncAll() error {
	if err := v.fs.enter(true); err != nil {
		return &fs.PathError{Op: "syncfs", Path: "/", Err: err}
	}
	defer v.fs.mu.Unlock()
	for _, op := range v.fs.pending {
		op.settle()
	}
	v.fs.pending = nil
	v.fs.root.syncBelow()
	return nil
}

func (memVolume) Close() error { return nil }

func (n *inode) syncBelow() {
	n.sync()
	for _, child := range n.names {
		child.syncBelow()
	}
}

// Point implements Pointer: it counts, calls the hook and perhaps crashes.
func (m *Forgetful) Point(name string) {
	m.mu.Lock()
	m.points[name]++
	if name == m.point {
		m.hitsLeft--
		if m.hitsLeft == 0 {
			m.crashed = true
		}
	}
	hook := m.onPoint
	m.mu.Unlock()
	if hook != nil {
		hook(name)
	}
}

// OnPoint calls hook at every crash point, after CrashAt took effect.
func (m *Forgetful) OnPoint(hook func(name string)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onPoint = hook
}

// Points tells how often each crash point was passed, so that a test can
// prove that it visits all of those that the documentation lists.
func (m *Forgetful) Points() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]int{}
	for name, n := range m.points {
		out[name] = n
	}
	return out
}

// CrashAt plans a crash at a crash point, written as for OSWithCrash.
func (m *Forgetful) CrashAt(point string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.point, m.hitsLeft = splitPoint(point)
}

// CrashAfter plans a crash instead of the change after the next n ones.
// Changes are creating opens, writes, truncations, syncs, and all that alters
// or syncs a folder. Looping n upwards from 0 until Crashed stays false visits
// every state between two changes.
func (m *Forgetful) CrashAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opsLeft = n
}

// Crashed reports whether the crash has happened.
func (m *Forgetful) Crashed() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.crashed
}

// Crash ends this file system and returns a new one with what certainly
// survives: synced data under synced names, and nothing else.
func (m *Forgetful) Crash() *Forgetful {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	c := copier{to: NewForgetful(), done: map[*inode]*inode{}}
	c.data = func(n *inode) []byte { return slices.Clone(n.safe) }
	c.names = func(n *inode) map[string]*inode { return n.safeNames }
	return c.run(m)
}

// CrashRandom is Crash with an arbitrary choice of what was not synced: each
// change of names may have reached the disk (after those it depends on), each
// sector of each write, and each new length. The same seed after the same
// operations chooses the same.
func (m *Forgetful) CrashRandom(seed uint64) *Forgetful {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashed = true
	rng := rand.New(rand.NewPCG(seed, seed^0x9E3779B97F4A7C15))
	// Some crashes lose nearly all, some nearly nothing.
	luck := []float64{0.1, 0.5, 0.9, 1}[rng.IntN(4)]
	coin := func() bool { return rng.Float64() < luck }

	names := m.survivingNames(coin)
	c := copier{to: NewForgetful(), done: map[*inode]*inode{}}
	c.data = func(n *inode) []byte { return n.survivingData(coin) }
	c.names = func(n *inode) map[string]*inode {
		if altered, ok := names[n]; ok {
			return altered
		}
		return n.safeNames
	}
	return c.run(m)
}

// survivingNames plays a choice of the pending changes on copies of the safe
// names.
func (m *Forgetful) survivingNames(coin func() bool) map[*inode]map[string]*inode {
	altered := map[*inode]map[string]*inode{}
	lost := map[nameKey]bool{}
	for _, op := range m.pending {
		if op.touches(lost) || !coin() {
			op.addTo(lost)
			continue
		}
		for _, e := range op.edits {
			names := altered[e.dir]
			if names == nil {
				names = map[string]*inode{}
				for k, v := range e.dir.safeNames {
					names[k] = v
				}
				altered[e.dir] = names
			}
			if e.to == nil {
				delete(names, e.name)
			} else {
				names[e.name] = e.to
			}
		}
	}
	return altered
}

func (n *inode) survivingData(coin func() bool) []byte {
	data := slices.Clone(n.safe)
	for _, e := range n.edits {
		if e.trunc {
			if coin() {
				data = e.apply(data)
			}
			continue
		}
		for off, rest := e.off, e.bytes; len(rest) > 0; {
			k := min(int64(len(rest)), sector-off%sector)
			if coin() {
				data = edit{off: off, bytes: rest[:k]}.apply(data)
			}
			off, rest = off+k, rest[k:]
		}
	}
	// The length may have been written without the data: the tail reads as zeros.
	if len(data) < len(n.data) && coin() {
		data = resize(data, int64(len(n.data)))
	}
	return data
}

// copier builds a new file system from one view of an old one.
type copier struct {
	to    *Forgetful
	done  map[*inode]*inode
	data  func(*inode) []byte
	names func(*inode) map[string]*inode
}

func (c *copier) run(m *Forgetful) *Forgetful {
	c.to.now, c.to.space, c.to.lastIno, c.to.life = m.now, m.space, m.lastIno, m.life+1
	c.to.root = c.copy(m.root)
	return c.to
}

// copy walks names in order, so that a seed means the same in every run.
func (c *copier) copy(n *inode) *inode {
	if done := c.done[n]; done != nil {
		return done
	}
	k := &inode{ino: n.ino, mode: n.mode, mtime: n.safeMtime, ctime: n.ctime, safeMtime: n.safeMtime}
	c.done[n] = k
	if n.names == nil {
		k.safe = c.data(n)
		k.data = slices.Clone(k.safe)
		return k
	}
	k.mtime = n.mtime
	k.names, k.safeNames = map[string]*inode{}, map[string]*inode{}
	names := c.names(n)
	sorted := make([]string, 0, len(names))
	for name := range names {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	for _, name := range sorted {
		child := c.copy(names[name])
		child.links++
		k.names[name], k.safeNames[name] = child, child
	}
	return k
}
