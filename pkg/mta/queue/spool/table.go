package spool

import (
	"iter"
	"slices"
	"sort"

	"github.com/postcote/postcote/pkg/mta/queue/item"
)

// table holds the messages of the index in order of their ids. New ones have the
// greatest, so that it is also the order in which they were made: the garbage
// collector, which looks at each of them, finds them one beside the other. A map
// scatters them; with a million messages a collection took three times the CPU
// (docs/performance.md).
//
// It is cut into runs, so that no change moves more than one of them.
type table struct {
	runs []run
	len  int
}

// run is some messages with consecutive ids, at least one.
type run struct {
	from item.ID // none of it is less, all of the run before are
	list []*Entry
}

// maxRun is how many messages a run has at most.
const maxRun = 512

// fill makes a table of messages that are in order.
func (t *table) fill(list []*Entry) {
	t.len = len(list)
	for part := range slices.Chunk(list, maxRun) {
		t.runs = append(t.runs, run{part[0].ID, slices.Clone(part)})
	}
}

// at is the run in which id belongs; -1 if it is less than all.
func (t *table) at(id item.ID) int {
	return sort.Search(len(t.runs), func(i int) bool { return t.runs[i].from > id }) - 1
}

// search is where id is in a run, or belongs.
func (r *run) search(id item.ID) (int, bool) {
	return slices.BinarySearchFunc(r.list, id, func(e *Entry, id item.ID) int {
		switch {
		case e.ID < id:
			return -1
		case e.ID > id:
			return 1
		}
		return 0
	})
}

// find returns the message with an id, nil if there is none.
func (t *table) find(id item.ID) *Entry {
	i := t.at(id)
	if i < 0 {
		return nil
	}
	r := &t.runs[i]
	if k, ok := r.search(id); ok {
		return r.list[k]
	}
	return nil
}

// first is the message with the least id, nil if there is none.
func (t *table) first() *Entry {
	if t.len == 0 {
		return nil
	}
	return t.runs[0].list[0]
}

// put enters a message that is not there.
func (t *table) put(e *Entry) {
	t.len++
	if len(t.runs) == 0 {
		t.runs = append(t.runs, run{from: e.ID})
	}
	i := max(t.at(e.ID), 0)
	r := &t.runs[i]
	r.from = min(r.from, e.ID)
	k, _ := r.search(e.ID)
	switch {
	case len(r.list) < maxRun:
		r.list = slices.Insert(r.list, k, e)
	case k == maxRun: // as most do that come
		list := make([]*Entry, 1, maxRun)
		list[0] = e
		t.runs = slices.Insert(t.runs, i+1, run{e.ID, list})
	default:
		t.split(i)
		t.len--
		t.put(e)
	}
}

// split makes two runs of one.
func (t *table) split(i int) {
	list := t.runs[i].list
	half := list[len(list)/2:]
	second := run{half[0].ID, append(make([]*Entry, 0, maxRun), half...)}
	clear(half)
	t.runs[i].list = list[:len(list)/2]
	t.runs = slices.Insert(t.runs, i+1, second)
}

// remove takes out the message with an id, if it is there.
func (t *table) remove(id item.ID) {
	i := t.at(id)
	if i < 0 {
		return
	}
	r := &t.runs[i]
	k, ok := r.search(id)
	if !ok {
		return
	}
	t.len--
	r.list = slices.Delete(r.list, k, k+1)
	switch {
	case len(r.list) == 0:
		t.runs = slices.Delete(t.runs, i, i+1)
	case len(r.list) < maxRun/4:
		t.join(i)
	}
}

// join makes one run of i and the one behind it, or before it, if that leaves
// room in it.
func (t *table) join(i int) {
	for _, k := range [2]int{i, i - 1} {
		if k < 0 || k+1 == len(t.runs) || len(t.runs[k].list)+len(t.runs[k+1].list) > maxRun/2 {
			continue
		}
		t.runs[k].list = append(t.runs[k].list, t.runs[k+1].list...)
		t.runs = slices.Delete(t.runs, k+1, k+2)
		return
	}
}

// between visits the messages from the id least to the id most. The table must
// not change meanwhile.
func (t *table) between(least, most item.ID) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for i := max(t.at(least), 0); i < len(t.runs) && t.runs[i].from <= most; i++ {
			for _, e := range t.runs[i].list {
				if e.ID >= least && e.ID <= most && !yield(e) {
					return
				}
			}
		}
	}
}

// all returns the messages in order.
func (t *table) all() []*Entry {
	list := make([]*Entry, 0, t.len)
	for i := range t.runs {
		list = append(list, t.runs[i].list...)
	}
	return list
}
