package yescrypt

// tableLen is the entries of a table: pairs of words, chosen by eight bits.
const tableLen = 256

type table [tableLen][2]uint64

// tables are those of pwxform: two are read while the third is written, and
// they change places after each chunk.
type tables struct {
	read0, read1, write *table
	next                uint8 // where the next pair is written
}

// mixBlock runs each chunk of a block through pwxform, chained by XOR, and the
// last one through two rounds of salsa.
func (t *tables) mixBlock(b []uint64) {
	x := chunk(b[len(b)-chunkWords:])
	for rest := b; len(rest) >= chunkWords; rest = rest[chunkWords:] {
		c := (*chunk)(rest)
		for i := range x {
			x[i] ^= c[i]
		}
		t.pwxform(&x)
		*c = x
	}
	last := (*chunk)(b[len(b)-chunkWords:])
	*last = salsa(*last, 2)
}

// pwxform is six rounds over four pairs of words. The results of the inner four
// rounds go to the table that is written.
func (t *tables) pwxform(x *chunk) {
	read0, read1, write, next := t.read0, t.read1, t.write, t.next
	a0, a1, b0, b1 := x[0], x[1], x[2], x[3]
	c0, c1, d0, d1 := x[4], x[5], x[6], x[7]
	for i := range 6 {
		a0, a1 = pair(read0, read1, a0, a1)
		b0, b1 = pair(read0, read1, b0, b1)
		c0, c1 = pair(read0, read1, c0, c1)
		d0, d1 = pair(read0, read1, d0, d1)
		if i == 0 || i == 5 {
			continue
		}
		write[next] = [2]uint64{a0, a1}
		write[next+1] = [2]uint64{b0, b1}
		write[next+2] = [2]uint64{c0, c1}
		write[next+3] = [2]uint64{d0, d1}
		next += 4
	}
	x[0], x[1], x[2], x[3] = a0, a1, b0, b1
	x[4], x[5], x[6], x[7] = c0, c1, d0, d1
	t.read0, t.read1, t.write, t.next = write, read0, read1, next
}

// pair multiplies the halves of both words and adds what the first chooses.
func pair(read0, read1 *table, x, y uint64) (uint64, uint64) {
	p, q := &read0[byte(x>>4)], &read1[byte(x>>36)]
	return (uint64(uint32(x))*(x>>32) + p[0]) ^ q[0], (uint64(uint32(y))*(y>>32) + p[1]) ^ q[1]
}
