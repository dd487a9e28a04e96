package hint

// Tracker watches the numbers of one sender's connection. The zero value has
// seen nothing.
type Tracker struct {
	generation uint64
	last       uint64
	any        bool
}

// See takes note of h and reports whether hints before it were missed. The
// first hint of all counts as a miss unless it is the sender's first: what
// happened before this connection is unknown.
func (t *Tracker) See(h Hint) (missed bool) {
	if t.any && h.Generation == t.generation {
		missed = h.Sequence != t.last+1
	} else {
		missed = h.Sequence != 1 || t.any
	}
	t.any, t.generation, t.last = true, h.Generation, h.Sequence
	return missed
}
