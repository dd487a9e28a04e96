package index

// Gone is a message that a newer Image does not have.
type Gone struct {
	UID   uint32
	Index int // in the older Image
}

// Delta is how one Image became another.
type Delta struct {
	Expunged []Gone // ascending
	Changed  []int  // indices in the newer Image: flags, keywords or MODSEQ differ
	Appended int    // index in the newer Image of the first new message, or its Len
}

// cursor walks over the records of an Image.
type cursor struct {
	im   *Image
	ci   int
	pos  int
	data []byte
}

func (c *cursor) done() bool { return c.ci >= len(c.im.chunks) }

func (c *cursor) index() int { return int(c.im.starts[c.ci]) + c.pos }

func (c *cursor) rec() rec {
	if c.data == nil {
		if c.data = c.im.chunks[c.ci].records(); c.data == nil {
			c.data = make([]byte, c.im.chunks[c.ci].n*recordSize) // unreadable: UID 0
		}
	}
	return rec(c.data[c.pos*recordSize : (c.pos+1)*recordSize])
}

func (c *cursor) next() {
	if c.pos++; c.pos >= c.im.chunks[c.ci].n {
		c.nextChunk()
	}
}

func (c *cursor) nextChunk() { c.ci, c.pos, c.data = c.ci+1, 0, nil }

// Diff compares an older Image of a mailbox with a newer one. Chunks that both
// share are skipped.
func Diff(older, newer *Image) Delta {
	d := Delta{Appended: newer.Len()}
	a, b := cursor{im: older}, cursor{im: newer}
	for !a.done() && !b.done() {
		if a.pos == 0 && b.pos == 0 && older.chunks[a.ci] == newer.chunks[b.ci] {
			a.nextChunk()
			b.nextChunk()
			continue
		}
		x, y := a.rec(), b.rec()
		switch {
		case x.uid() < y.uid():
			d.Expunged = append(d.Expunged, Gone{x.uid(), a.index()})
			a.next()
		case x.uid() > y.uid():
			d.Appended = min(d.Appended, b.index()) // not between older ones; UIDs only grow
			b.next()
		default:
			if x.flags() != y.flags() || x.set() != y.set() || x.modseq() != y.modseq() {
				d.Changed = append(d.Changed, b.index())
			}
			a.next()
			b.next()
		}
	}
	for ; !a.done(); a.next() {
		d.Expunged = append(d.Expunged, Gone{a.rec().uid(), a.index()})
	}
	if !b.done() {
		d.Appended = min(d.Appended, b.index())
	}
	return d
}
