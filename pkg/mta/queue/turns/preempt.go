package turns

import "time"

// maxScan is how many messages behind a large one are looked at.
const maxScan = 200

// preempt lets somebody overtake j, whose turn it is, if there is anybody
// worth it and j has saved up enough.
func (l *Line[E]) preempt(j *Job[E], c Costs, now time.Time) {
	if j.available <= 0 || j.total < c.Minimum*c.Cost {
		return
	}
	other := l.candidate(j, c, now)
	if other == nil {
		return
	}
	needed := other.pending()
	if (j.available/c.Cost+c.Loan)*100 < needed*(100-c.Discount) {
		return
	}
	other.parent, other.expected = j, other.selected+needed
	j.available -= needed * c.Cost
	other.root, other.level = j.root, j.level+1
	for _, p := range other.peers {
		p.dest.peers.fix(p)
		l.moved(p.dest)
	}
}

// candidate is who gains most by overtaking j: who has waited long for how
// much there is to do, fits into the slots that j can still save up, and can
// be delivered now.
func (l *Line[E]) candidate(j *Job[E], c Costs, now time.Time) *Job[E] {
	slots := (j.pending() + j.available) / c.Cost
	if slots <= 0 {
		return nil
	}
	var best *Job[E]
	score := 0.0
	n := 0
	for o := j.next; o != nil && n < maxScan; o, n = o.next, n+1 {
		waited := now.Sub(o.queued).Seconds() + 1
		if waited <= score {
			break // who comes later has waited even less
		}
		if o.level > 0 || o.pending() > slots || !o.ready() {
			continue
		}
		if s := waited / float64(o.total); s > score {
			best, score = o, s
		}
	}
	return best
}

// ready reports whether some destination of j is offered.
func (j *Job[E]) ready() bool {
	for _, p := range j.peers {
		if p.dest.Offered() {
			return true
		}
	}
	return false
}

// before is the order of jobs: by arrival, those that overtook in front of
// whom they did.
func (j *Job[E]) before(o *Job[E]) bool {
	switch {
	case j.root != o.root:
		return j.root < o.root
	case j.level != o.level:
		return j.level > o.level
	}
	return j.seq < o.seq
}
