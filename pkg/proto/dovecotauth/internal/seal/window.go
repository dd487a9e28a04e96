package seal

// windowSize is how many tokens may overtake one that is not opened yet. It is
// what a server grants in 13 seconds at 5 000 logins a second; an older token is
// refused, as if it had expired.
const windowSize = 1 << 16

// window knows which of the last numbers were taken, in 8 KiB whatever happens.
type window struct {
	highest uint64
	bits    []uint64 // of the windowSize numbers up to highest, each at its remainder
}

// take reports whether number is taken for the first time. Only numbers that are
// known to be genuine may be given to it.
func (w *window) take(number uint64) bool {
	if w.bits == nil {
		w.bits = make([]uint64, windowSize/64)
	}
	if w.highest >= windowSize && number <= w.highest-windowSize {
		return false
	}
	if number > w.highest {
		w.forget(number)
		w.highest = number
	}
	at, bit := number%windowSize/64, uint64(1)<<(number%64)
	if w.bits[at]&bit != 0 {
		return false
	}
	w.bits[at] |= bit
	return true
}

// forget clears the places of the numbers above highest, up to next.
func (w *window) forget(next uint64) {
	if next-w.highest >= windowSize {
		clear(w.bits)
		return
	}
	for n := w.highest + 1; n <= next; n++ {
		w.bits[n%windowSize/64] &^= 1 << (n % 64)
	}
}
