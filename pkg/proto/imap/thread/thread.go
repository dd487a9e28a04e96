package thread

// Algorithm is a way to put messages into threads.
type Algorithm uint8

const (
	// OrderedSubject and References are those of RFC 5256 section 3.
	OrderedSubject Algorithm = iota
	References
	// Refs is References without a look at subjects, the thread with the
	// message that arrived last coming last (draft-ietf-morg-inthread
	// section 4).
	Refs
)

// Message is what an algorithm looks at.
type Message struct {
	Sent    int64  // the sent date of RFC 5256 section 2.2, in seconds of Unix
	Arrived int64  // INTERNALDATE; only Refs needs it
	Subject string // the base subject, in a form that is equal when subjects are
	Reply   bool   // the subject says that it is a reply or a forward
	// Hashes of message ids; an ID of 0 is none. OrderedSubject needs neither.
	ID         uint64
	References []uint64
}

// Threader takes in messages in the order of the mailbox and puts them into
// threads.
type Threader struct {
	alg      Algorithm
	sent     []int64
	arrived  []int64
	subjects []string
	reply    []bool
	links    links
}

// New makes a Threader for about n messages.
func New(alg Algorithm, n int) *Threader {
	t := &Threader{alg: alg, sent: make([]int64, 0, n)}
	switch alg {
	case Refs:
		t.arrived = make([]int64, 0, n)
	default:
		t.subjects, t.reply = make([]string, 0, n), make([]bool, 0, n)
	}
	if alg != OrderedSubject {
		t.links.grow(n)
	}
	return t
}

// Add takes in the next message. It keeps the string, not the slice.
func (t *Threader) Add(m Message) {
	t.sent = append(t.sent, m.Sent)
	if t.alg == Refs {
		t.arrived = append(t.arrived, m.Arrived)
	} else {
		t.subjects, t.reply = append(t.subjects, m.Subject), append(t.reply, m.Reply)
	}
	if t.alg != OrderedSubject {
		t.links.add(int32(len(t.sent)-1), m.ID, m.References)
	}
}

// Forest puts the messages into threads. The Threader is used up.
func (t *Threader) Forest() *Forest {
	if t.alg == OrderedSubject {
		return t.bySubject()
	}
	g := newGrove(t.sent, &t.links)
	if t.alg == Refs {
		return g.byArrival(t.arrived)
	}
	g.mergeSubjects(t.subjects, t.reply)
	return g.bySent()
}
