package window

// Rules are what the windows of one transport's destinations have in common.
type Rules struct {
	Initial            int      // window of a destination that nothing is known of
	Limit              int      // the widest
	Positive, Negative Feedback // what is not set is Whole
	Cohorts            int      // windows full of failures that mean down; below 1: never
}

// Window is that of one destination.
type Window struct {
	size    int
	success float64 // on the way to a wider window, below 1
	failure float64 // on the way to a narrower one, 0 to 1
	cohorts float64 // failures since the last success, each as its share of the window
}

// epsilon is for sums like ten times 0.1.
const epsilon = 1e-9

// New is the window of a destination that nothing is known of.
func New(r Rules) Window { return Window{size: max(r.Initial, 1)} }

// Size is how many deliveries there may be at a time.
func (w *Window) Size() int { return w.size }

// Untroubled reports whether nothing has failed since the last success.
func (w *Window) Untroubled() bool { return w.cohorts == 0 }

// Forgive forgets the failures that might mean that the destination is down.
func (w *Window) Forgive() { w.cohorts = 0 }

// Succeeded opens the window. running is how many deliveries there were, with
// the one that succeeded: a window that is not used says nothing, so it stays
// within Initial of what is used.
func (w *Window) Succeeded(r Rules, running int) {
	w.cohorts = 0
	if w.size >= r.Limit || w.size >= running+r.Initial {
		return
	}
	step := r.Positive.Or(Whole()).at(w.size)
	w.success += step
	for w.success+step/2 >= 1 { // nearer to 1 than half a step is there
		w.size++
		w.success--
		w.failure = 0
	}
	w.size = min(w.size, r.Limit)
}

// Failed closes the window, and reports whether the destination is down.
func (w *Window) Failed(r Rules) (down bool) {
	w.cohorts += 1 / float64(w.size)
	if r.Cohorts > 0 && w.cohorts+epsilon >= float64(r.Cohorts) {
		return true
	}
	step := r.Negative.Or(Whole()).at(w.size)
	w.failure -= step
	for w.failure-step/2 < 0 {
		w.size--
		w.failure++
		w.success = 0
	}
	w.size = max(w.size, 1)
	return false
}

// Revived is the window of a destination that was down: what is in use there,
// if something is, else as at first.
func (w *Window) Revived(r Rules, running int) {
	*w = New(r)
	if running > 0 {
		w.size = running
	}
}
