package digestcrypt

// digest is a hash function: sum writes size bytes to out, which may be part
// of in.
type digest struct {
	size int
	sum  func(out, in []byte)
}

// of hashes the concatenation of parts.
func (d digest) of(parts ...[]byte) []byte {
	var in []byte
	for _, p := range parts {
		in = append(in, p...)
	}
	out := make([]byte, d.size)
	d.sum(out, in)
	return out
}

// stretch repeats b up to n bytes.
func stretch(b []byte, n int) []byte {
	out := make([]byte, 0, n+len(b))
	for len(out) < n {
		out = append(out, b...)
	}
	return out[:n]
}

// rounds runs the loop that the three hashes share and leaves its result in a.
// Round i hashes
//
//	a or p, s unless 3 divides i, p unless 7 divides i, p or a
//
// where a is the last result, which stands first in even rounds and last in odd
// ones.
func (d digest) rounds(a, p, s []byte, n int) {
	var layouts [8][]byte
	for i := range layouts {
		layouts[i] = layout(d.size, p, s, i)
	}
	three, seven := 0, 0 // i modulo 3 and 7
	for i := range n {
		which := i & 1
		if three != 0 {
			which |= withS
		}
		if seven != 0 {
			which |= withP
		}
		buf := layouts[which]
		if which&odd == 0 {
			copy(buf, a)
		} else {
			copy(buf[len(buf)-d.size:], a)
		}
		d.sum(a, buf)
		if three++; three == 3 {
			three = 0
		}
		if seven++; seven == 7 {
			seven = 0
		}
	}
}

// What a layout is made of.
const (
	odd = 1 << iota
	withS
	withP
)

// layout is the input of a round with room for the last result.
func layout(size int, p, s []byte, which int) []byte {
	room := make([]byte, size)
	first, last := room, p
	if which&odd != 0 {
		first, last = p, room
	}
	buf := append([]byte(nil), first...)
	if which&withS != 0 {
		buf = append(buf, s...)
	}
	if which&withP != 0 {
		buf = append(buf, p...)
	}
	return append(buf, last...)
}
