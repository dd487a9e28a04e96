package index

// AppendUIDs appends the UIDs of all messages. A message that cannot be read
// back has 0, or in a chunk that cannot, all have.
func (im *Image) AppendUIDs(dst []uint32) []uint32 {
	l := im.list()
	for _, c := range l.chunks {
		data := c.records()
		if data == nil {
			dst = append(dst, make([]uint32, c.n)...)
			continue
		}
		if c.dense() {
			for uid := c.first; len(data) > 0; uid, data = uid+1, data[recordSize:] {
				dst = append(dst, uid)
			}
			continue
		}
		for i := 0; i < len(data); i += recordSize {
			dst = append(dst, rec(data[i:]).uid())
		}
	}
	return dst
}

// dense reports whether the UIDs of a chunk that was checked have no gaps:
// then none of its records need be looked at for them, which are far apart.
func (c *chunk) dense() bool { return c.n > 0 && c.last-c.first == uint32(c.n-1) }

// SelectFlags sets the bits of the messages that have all flags of with.
// Chunks whose summary answers are not looked at.
func (im *Image) SelectFlags(with uint8, bits []uint64) {
	l := im.list()
	for ci, c := range l.chunks {
		start := int(l.starts[ci])
		switch {
		case c.or&with != with:
			continue
		case c.and&with == with:
			for i := start; i < start+c.n; i++ {
				bits[i/64] |= 1 << (i % 64)
			}
			continue
		}
		data := c.records()
		for i := 0; i < len(data); i += recordSize {
			if data[i+4]&with == with {
				k := start + i/recordSize
				bits[k/64] |= 1 << (k % 64)
			}
		}
	}
}

// SelectDates sets the bits in hits of the messages received at from or later
// and before to, in seconds since 1970, and takes those whose date is known out
// of open.
func (im *Image) SelectDates(from, to int64, hits, open []uint64) {
	im.selectBy(false, from, to, hits, open)
}

// SelectSizes does the same for the sizes with CRLF line ends from from on and
// below to.
func (im *Image) SelectSizes(from, to int64, hits, open []uint64) {
	im.selectBy(true, from, to, hits, open)
}

func (im *Image) selectBy(size bool, from, to int64, hits, open []uint64) {
	l := im.list()
	for ci, c := range l.chunks {
		data := c.records()
		k := int(l.starts[ci])
		for ; len(data) >= recordSize; data = data[recordSize:] {
			r := rec(data[:recordSize])
			v := r.date()
			if size {
				v = r.vsize()
			}
			if v != Unknown {
				open[k/64] &^= 1 << (k % 64)
				if v >= from && v < to {
					hits[k/64] |= 1 << (k % 64)
				}
			}
			k++
		}
	}
}
