package queue

import "github.com/postcote/postcote/pkg/mta/queue/spool"

// dueHeap holds deferred messages, the one that is due first on top. Each
// entry knows its index (Pos), so that any of them can be taken out.
type dueHeap struct{ list []*spool.Entry }

func (h *dueHeap) len() int            { return len(h.list) }
func (h *dueHeap) first() *spool.Entry { return h.list[0] }

func before(a, b *spool.Entry) bool { return a.Due < b.Due || a.Due == b.Due && a.ID < b.ID }

func (h *dueHeap) push(e *spool.Entry) {
	e.Pos = int32(len(h.list))
	h.list = append(h.list, e)
	h.up(int(e.Pos))
}

// fill makes a heap of list alone, which is h's from then on.
func (h *dueHeap) fill(list []*spool.Entry) {
	for i, e := range list {
		e.Pos = int32(i)
	}
	h.list = list
	for i := len(list)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

func (h *dueHeap) pop() *spool.Entry {
	e := h.list[0]
	h.remove(e)
	return e
}

func (h *dueHeap) remove(e *spool.Entry) {
	i, last := int(e.Pos), len(h.list)-1
	h.swap(i, last)
	h.list[last] = nil
	h.list = h.list[:last]
	if i < last {
		h.up(i)
		h.down(i)
	}
	e.Pos = posNone
}

func (h *dueHeap) swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].Pos, h.list[j].Pos = int32(i), int32(j)
}

func (h *dueHeap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !before(h.list[i], h.list[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *dueHeap) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.list); child++ {
			if before(h.list[child], h.list[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}

// fifo is a queue in memory.
type fifo[T any] struct {
	list []T
	head int
}

func (f *fifo[T]) len() int { return len(f.list) - f.head }

func (f *fifo[T]) push(v T) { f.list = append(f.list, v) }

func (f *fifo[T]) pop() T {
	var none T
	v := f.list[f.head]
	f.list[f.head] = none
	f.head++
	if f.head == len(f.list) {
		f.list, f.head = f.list[:0], 0
		if cap(f.list) > 4096 {
			f.list = nil // a flood is over
		}
	} else if f.head > 1024 && f.head > len(f.list)/2 {
		f.list = append(f.list[:0], f.list[f.head:]...)
		f.head = 0
	}
	return v
}

// all takes out everything.
func (f *fifo[T]) all() []T {
	list := f.list[f.head:]
	f.list, f.head = nil, 0
	return list
}
