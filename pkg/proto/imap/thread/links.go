package thread

// none is no node.
const none = int32(-1)

// links is what REFERENCES makes of the ids in a mailbox (RFC 5256 section 3,
// step 1): for each id a node, with the message that has it or without (a
// dummy), and the node that it is a reply to.
type links struct {
	nodes                   []node
	byID                    map[uint64]int32
	loops                   loops
	numMessages, numDummies int32
}

type node struct {
	message int32 // none: a dummy
	parent  int32
	kids    int32
}

// Dummies are made for ids that only others mention. Somebody who mentions
// thousands of them in each message shall not cost memory without bound: more
// than some for each message, and a few to begin with, are left out.
const (
	dummiesEach  = 8
	dummiesFirst = 1 << 16
)

func (l *links) grow(n int) {
	l.nodes = make([]node, 0, n+n/4)
	l.byID = make(map[uint64]int32, n+n/4)
	l.loops.grow(n + n/4)
}

// add takes in message number i. id is its own id, or zero.
func (l *links) add(i int32, id uint64, refs []uint64) {
	l.numMessages++
	own := l.own(i, id)
	last := none
	for _, ref := range refs { // step 1 (A)
		n := l.find(ref)
		if n == none {
			continue
		}
		if last != none && l.nodes[n].parent == none {
			l.link(last, n)
		}
		last = n
	}
	if l.nodes[own].parent != none { // step 1 (B)
		l.unlink(own)
	}
	if last != none {
		l.link(last, own)
	}
}

// own is the node of a message. One that has no id, or that of an earlier
// message, has a node which nobody finds.
func (l *links) own(i int32, id uint64) int32 {
	if id == 0 {
		return l.node(i)
	}
	n, known := l.byID[id]
	switch {
	case !known:
		n = l.node(i)
		l.byID[id] = n
	case l.nodes[n].message == none:
		l.nodes[n].message = i
		l.numDummies--
	default:
		n = l.node(i)
	}
	return n
}

// find is the node of an id that is mentioned.
func (l *links) find(id uint64) int32 {
	n, known := l.byID[id]
	if !known {
		if l.numDummies >= dummiesFirst+dummiesEach*l.numMessages {
			return none
		}
		n = l.node(none)
		l.byID[id] = n
		l.numDummies++
	}
	return n
}

func (l *links) node(message int32) int32 {
	l.nodes = append(l.nodes, node{message: message, parent: none})
	l.loops.add()
	return int32(len(l.nodes) - 1)
}

// link makes child, which has no parent, a child of parent, unless that would
// be a loop. A node without children cannot be above another.
func (l *links) link(parent, child int32) {
	if parent == child || l.nodes[child].kids > 0 && l.loops.root(parent) == child {
		return
	}
	l.nodes[child].parent = parent
	l.nodes[parent].kids++
	l.loops.link(child, parent)
}

func (l *links) unlink(child int32) {
	l.nodes[l.nodes[child].parent].kids--
	l.nodes[child].parent = none
	l.loops.cut(child)
}
