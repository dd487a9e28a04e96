package turns

import "time"

// Costs are the parameters of preemption, Postfix's
// default_delivery_slot_cost, _loan, _discount and
// default_minimum_delivery_slots.
type Costs struct {
	Cost     int // deliveries of a message by which it saves up a slot for others; below 2: nobody overtakes
	Loan     int // slots that need not be saved up yet
	Discount int // per cent of the slots needed that need not be, either
	Minimum  int // slots that a message must be able to save up to be overtaken at all
}

// Line is what waits for a transport. E is one delivery.
type Line[E any] struct {
	head, tail *Job[E] // by arrival
	ready      heap[*Dest[E]]
	arrivals   uint64
	served     uint64
	len        int
}

// Job is a message at a transport.
type Job[E any] struct {
	queued     time.Time
	seq        uint64 // of its arrival
	root       uint64 // seq of the message that was overtaken, or its own
	level      int    // how often somebody was overtaken from root to here
	prev, next *Job[E]
	listed     bool

	total    int // entries it ever had
	selected int // of these, those that came out
	dropped  int // or were taken out
	peers    []*peer[E]

	available int // slots that others may have, times Cost
	parent    *Job[E]
	expected  int // what selected will be when it has used the slots that parent gave
	one       peer[E]
}

// Dest is a destination of a transport.
type Dest[E any] struct {
	peers heap[*peer[E]]
	pos   int // in Line.ready, -1 when it is not there
	turn  uint64
	len   int
}

// NewDest makes a destination to which nothing goes so far.
func NewDest[E any]() *Dest[E] { return &Dest[E]{pos: -1} }

// Len is how many entries wait for d.
func (d *Dest[E]) Len() int { return d.len }

// Offered reports whether d is offered.
func (d *Dest[E]) Offered() bool { return d.pos >= 0 }

// peer is the part of a job that goes to one destination.
type peer[E any] struct {
	job     *Job[E]
	dest    *Dest[E]
	pos     int // in dest.peers
	at      int // in job.peers
	entries []E
	first   int
	one     [1]E
}

// Add begins a job; queued is when its message became active.
func (l *Line[E]) Add(queued time.Time) *Job[E] {
	l.arrivals++
	return &Job[E]{queued: queued, seq: l.arrivals, root: l.arrivals}
}

// Push adds an entry. All of a job are pushed before the first comes out.
func (l *Line[E]) Push(j *Job[E], d *Dest[E], e E) {
	p := l.peer(j, d)
	p.entries = append(p.entries, e)
	j.total++
	d.len++
	l.len++
	if !j.listed {
		l.link(j)
	}
	l.moved(d)
}

// peer finds or makes the part of j that goes to d: the last one that was
// used, as entries come destination by destination.
func (l *Line[E]) peer(j *Job[E], d *Dest[E]) *peer[E] {
	if n := len(j.peers); n > 0 && j.peers[n-1].dest == d {
		return j.peers[n-1]
	}
	p := &j.one
	if p.job != nil {
		p = new(peer[E])
	}
	p.job, p.dest = j, d
	p.entries, p.at = p.one[:0], len(j.peers)
	j.peers = append(j.peers, p)
	d.peers.push(p)
	return p
}

// Offer lets the entries of d come out, if it has any, until one does.
func (l *Line[E]) Offer(d *Dest[E]) {
	if d.pos < 0 && d.len > 0 {
		l.ready.push(d)
	}
}

// Withdraw takes Offer back.
func (l *Line[E]) Withdraw(d *Dest[E]) {
	if d.pos >= 0 {
		l.ready.remove(d)
	}
}

// Next is the destination whose turn it is, with its next entry; nil if none
// is offered.
func (l *Line[E]) Next(c Costs, now time.Time) (d *Dest[E], e E) {
	if len(l.ready) == 0 {
		return nil, e
	}
	if c.Cost >= 2 {
		l.preempt(l.ready[0].peers[0].job, c, now)
	}
	d = l.ready[0]
	p := d.peers[0]
	return d, p.entries[p.first]
}

// Pop takes the next entry of d, and withdraws d.
func (l *Line[E]) Pop(d *Dest[E], c Costs) E {
	p := d.peers[0]
	e := p.entries[p.first]
	var none E
	p.entries[p.first] = none
	p.first++
	l.served++
	d.turn = l.served
	d.len--
	l.len--
	l.ready.remove(d)
	j := p.job
	j.selected++
	j.available++
	if p.first == len(p.entries) {
		d.peers.remove(p)
		j.forget(p)
	}
	l.settle(j, c)
	return e
}

// TakeAll takes out everything that waits for d.
func (l *Line[E]) TakeAll(d *Dest[E], c Costs) []E {
	list := make([]E, 0, d.len)
	l.Withdraw(d)
	for len(d.peers) > 0 {
		p := d.peers[0]
		rest := p.entries[p.first:]
		list = append(list, rest...)
		p.job.dropped += len(rest)
		l.len -= len(rest)
		d.peers.remove(p)
		p.job.forget(p)
		l.settle(p.job, c)
	}
	d.len = 0
	return list
}

// Len is how many entries wait.
func (l *Line[E]) Len() int { return l.len }

// pending is how many entries of j are left.
func (j *Job[E]) pending() int { return j.total - j.selected - j.dropped }

func (j *Job[E]) forget(p *peer[E]) {
	last := len(j.peers) - 1
	j.peers[p.at] = j.peers[last]
	j.peers[p.at].at = p.at
	j.peers[last] = nil
	j.peers = j.peers[:last]
}

// settle ends a job that has nothing left: what it did not use of the slots
// that it was given goes back.
func (l *Line[E]) settle(j *Job[E], c Costs) {
	if j.pending() > 0 {
		return
	}
	if j.parent != nil && j.parent.listed {
		j.parent.available += (j.expected - j.selected) * c.Cost
	}
	j.parent = nil
	l.unlink(j)
}

func (l *Line[E]) link(j *Job[E]) {
	j.listed = true
	if j.prev = l.tail; l.tail != nil {
		l.tail.next = j
	} else {
		l.head = j
	}
	l.tail = j
}

func (l *Line[E]) unlink(j *Job[E]) {
	if !j.listed {
		return
	}
	j.listed = false
	if j.prev != nil {
		j.prev.next = j.next
	} else {
		l.head = j.next
	}
	if j.next != nil {
		j.next.prev = j.prev
	} else {
		l.tail = j.prev
	}
	j.prev, j.next = nil, nil
}

// moved puts d where its first entry belongs, if it is offered.
func (l *Line[E]) moved(d *Dest[E]) {
	if d.pos >= 0 {
		l.ready.fix(d)
	}
}
