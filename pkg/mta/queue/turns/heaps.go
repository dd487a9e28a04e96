package turns

// ranked is what a heap holds: it knows its order, and its place.
type ranked[T any] interface {
	before(T) bool
	place() *int // where the element is in its heap; -1 when it has left it
}

// heap has the element on top that comes first.
type heap[T ranked[T]] []T

func (h *heap[T]) push(x T) {
	*x.place() = len(*h)
	*h = append(*h, x)
	h.up(len(*h) - 1)
}

func (h *heap[T]) remove(x T) {
	var none T
	last, i := len(*h)-1, *x.place()
	h.swap(i, last)
	(*h)[last] = none
	*h = (*h)[:last]
	*x.place() = -1
	if i < last {
		h.up(i)
		h.down(i)
	}
}

// fix puts an element in its place whose order has changed.
func (h heap[T]) fix(x T) {
	h.up(*x.place())
	h.down(*x.place())
}

func (h heap[T]) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i, j
}

func (h heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h heap[T]) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(h[least]) {
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

func (p *peer[E]) before(o *peer[E]) bool { return p.job.before(o.job) }

func (p *peer[E]) place() *int { return &p.pos }

// before orders destinations by their first job; of the same job the one that
// was served longest ago comes first.
func (d *Dest[E]) before(o *Dest[E]) bool {
	a, b := d.peers[0].job, o.peers[0].job
	if a == b {
		return d.turn < o.turn
	}
	return a.before(b)
}

func (d *Dest[E]) place() *int { return &d.pos }
