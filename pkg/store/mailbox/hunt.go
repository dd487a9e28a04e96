package mailbox

import (
	"time"

	"github.com/postcote/postcote/pkg/store/index"
)

// Reading a directory may pass over a file that is renamed meanwhile. What a
// listing did not show is looked for in others before anything is concluded.
const (
	// passes is how many listings it takes where the folder is never calm.
	passes = 5
	// tick is more than the clock of directory mtimes is coarse (10 ms where
	// the kernel counts a hundred ticks a second).
	tick = 20 * time.Millisecond
)

// hunt looks for messages by base name. Those that are not in found are gone.
func (b *box) hunt(lk Locked, wanted map[string]bool) (found map[string]Entry, err error) {
	found = map[string]Entry{}
	for range passes {
		list, err := lk.List(false)
		if err != nil {
			return nil, err
		}
		for _, e := range list.Entries {
			if wanted[e.Base] {
				found[e.Base] = e
			}
		}
		if len(found) == len(wanted) {
			return found, nil
		}
		after, err := b.format.Look()
		if err != nil {
			return nil, err
		}
		if calm(list.New, after.New) && calm(list.Cur, after.Cur) {
			return found, nil
		}
	}
	return found, nil
}

// calm reports whether a directory did not change while it was read.
func calm(before, after index.DirStamp) bool {
	return before.Mtime.Equal(after.Mtime) && before.At.Sub(before.Mtime) > tick
}

// confirm hunts for messages of the index that were not found.
func (m *merge) confirm() error {
	if len(m.missing) == 0 {
		return nil
	}
	wanted := make(map[string]bool, len(m.missing))
	for _, r := range m.missing {
		wanted[r.Name] = true
	}
	found, err := m.b.hunt(m.lk, wanted)
	if err != nil {
		return err
	}
	for _, r := range m.missing {
		if e, ok := found[r.Name]; ok {
			m.entry(r, e)
		} else {
			m.gone = m.gone.add(r.UID)
		}
	}
	return nil
}

// lookAgain hunts for messages that have a UID already and were not found, and
// gives UIDs to all: without that they would get another one when they are.
func (b *box) lookAgain(lk Locked, fresh []Entry, unseen []string, floor uint32) ([]Entry, []uint32, error) {
	wanted := make(map[string]bool, len(unseen))
	for _, base := range unseen {
		wanted[base] = true
	}
	found, err := b.hunt(lk, wanted)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range found {
		fresh = append(fresh, e)
	}
	sortByArrival(fresh, func(e Entry) string { return e.Base })
	uids, _, err := lk.Assign(fresh, floor, true)
	return fresh, uids, err
}
