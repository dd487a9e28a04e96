package turns

// peerHeap has the job on top that comes first.
type peerHeap[E any] []*peer[E]

func (h peerHeap[E]) less(i, j int) bool { return h[i].job.before(h[j].job) }

func (h peerHeap[E]) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *peerHeap[E]) push(p *peer[E]) {
	p.pos = len(*h)
	*h = append(*h, p)
	up(p.pos, h.less, h.swap)
}

func (h *peerHeap[E]) remove(p *peer[E]) {
	last := len(*h) - 1
	i := p.pos
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	if i < last {
		up(i, h.less, h.swap)
		down(i, last, h.less, h.swap)
	}
}

func (h *peerHeap[E]) fix(p *peer[E]) {
	up(p.pos, h.less, h.swap)
	down(p.pos, len(*h), h.less, h.swap)
}

// destHeap are destinations by their first job; of the same job the one that
// was served longest ago is on top.
type destHeap[E any] []*Dest[E]

func (h destHeap[E]) less(i, j int) bool {
	a, b := h[i].peers[0].job, h[j].peers[0].job
	if a == b {
		return h[i].turn < h[j].turn
	}
	return a.before(b)
}

func (h destHeap[E]) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *destHeap[E]) push(d *Dest[E]) {
	d.pos = len(*h)
	*h = append(*h, d)
	up(d.pos, h.less, h.swap)
}

func (h *destHeap[E]) remove(d *Dest[E]) {
	last := len(*h) - 1
	i := d.pos
	h.swap(i, last)
	(*h)[last] = nil
	*h = (*h)[:last]
	d.pos = -1
	if i < last {
		up(i, h.less, h.swap)
		down(i, last, h.less, h.swap)
	}
}

func (h *destHeap[E]) fix(d *Dest[E]) {
	up(d.pos, h.less, h.swap)
	down(d.pos, len(*h), h.less, h.swap)
}

func up(i int, less func(i, j int) bool, swap func(i, j int)) {
	for i > 0 {
		parent := (i - 1) / 2
		if !less(i, parent) {
			return
		}
		swap(i, parent)
		i = parent
	}
}

func down(i, n int, less func(i, j int) bool, swap func(i, j int)) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < n; child++ {
			if less(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		swap(i, least)
		i = least
	}
}
