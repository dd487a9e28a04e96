package order

import (
	"hash/maphash"

	"github.com/postcote/postcote/pkg/proto/imap/collate"
)

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

// Message is what an algorithm looks at. The three fields at the end are the
// values of the header fields of that name.
type Message struct {
	Sent    int64  // the sent date of RFC 5256 section 2.2, in seconds of Unix
	Arrived int64  // INTERNALDATE; only Refs needs it
	Subject string // with encoded words decoded; Refs does not need it
	// Not needed by OrderedSubject.
	MessageID, References, InReplyTo string
}

// Threader takes in messages in the order of the mailbox and puts them into
// threads. It keeps nothing of the strings it is given: what is only compared
// is hashed, to 128 bits that nobody can foresee.
type Threader struct {
	alg    Algorithm
	seeds  [2]maphash.Seed
	sent   []int64
	latest []int64 // arrival, of Refs

	subjects []mark // of the base subjects; the zero value is the empty one
	reply    []bool
	buf      []byte

	links links
	refs  []mark
}

// mark stands for a string.
type mark [2]uint64

// NewThreader makes a Threader for about n messages.
func NewThreader(alg Algorithm, n int) *Threader {
	t := &Threader{alg: alg, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
	t.sent = make([]int64, 0, n)
	if alg != Refs {
		t.subjects, t.reply = make([]mark, 0, n), make([]bool, 0, n)
	}
	if alg != OrderedSubject {
		t.links.grow(n)
	}
	if alg == Refs {
		t.latest = make([]int64, 0, n)
	}
	return t
}

// Add takes in the next message.
func (t *Threader) Add(m Message) {
	t.sent = append(t.sent, m.Sent)
	if t.alg == Refs {
		t.latest = append(t.latest, m.Arrived)
	} else {
		base, reply := BaseSubject(m.Subject)
		t.buf = collate.AppendKey(t.buf[:0], base)
		t.subjects = append(t.subjects, t.mark(string(t.buf)))
		t.reply = append(t.reply, reply)
	}
	if t.alg == OrderedSubject {
		return
	}
	t.refs = collectIDs(t.refs[:0], m.References, t.mark)
	if len(t.refs) == 0 {
		if id := MessageID(m.InReplyTo); id != "" {
			t.refs = append(t.refs, t.mark(id))
		}
	}
	t.links.add(int32(len(t.sent)-1), t.mark(MessageID(m.MessageID)), t.refs)
}

func (t *Threader) mark(s string) mark {
	if s == "" {
		return mark{}
	}
	return mark{maphash.String(t.seeds[0], s), maphash.String(t.seeds[1], s)}
}

// Forest puts the messages into threads. The Threader is used up.
func (t *Threader) Forest() *Forest {
	if t.alg == OrderedSubject {
		return t.bySubject()
	}
	g := newGrove(t.sent, &t.links)
	if t.alg == Refs {
		return g.byArrival(t.latest)
	}
	g.mergeSubjects(t.subjects, t.reply)
	return g.bySent()
}
