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
		for i := 0; i < len(data); i += recordSize {
			dst = append(dst, rec(data[i:]).uid())
		}
	}
	return dst
}

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
	im.selectBy(hits, open, func(r rec) (bool, bool) {
		date := r.date()
		return date >= from && date < to, date != Unknown
	})
}

// SelectSizes does the same for the sizes with CRLF line ends from from on and
// below to.
func (im *Image) SelectSizes(from, to int64, hits, open []uint64) {
	im.selectBy(hits, open, func(r rec) (bool, bool) {
		size := r.vsize()
		return size >= from && size < to, size != Unknown
	})
}

func (im *Image) selectBy(hits, open []uint64, meets func(rec) (hit, known bool)) {
	l := im.list()
	for ci, c := range l.chunks {
		data := c.records()
		k := int(l.starts[ci])
		for i := 0; i < len(data); i += recordSize {
			hit, known := meets(rec(data[i : i+recordSize]))
			if known {
				open[k/64] &^= 1 << (k % 64)
				if hit {
					hits[k/64] |= 1 << (k % 64)
				}
			}
			k++
		}
	}
}
