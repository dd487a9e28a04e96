package coexist

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/store/maildir"
)

// side is who does an operation.
type side bool

const (
	ours   side = true
	theirs side = false
)

func (s side) String() string {
	if s == ours {
		return "us"
	}
	return "Dovecot"
}

// shown is a message as one of the parties shows it; flags in lower case.
type shown struct {
	uid   uint32
	flags map[string]bool
}

// view is all messages by id; more than one where there are copies.
type view map[int][]shown

// message is what the ledger knows of one.
type message struct {
	id    int
	uid   uint32 // 0: not known yet
	flags map[string]bool
	busy  map[side]bool
	dying bool // its expunge was asked for
	dead  bool // and acknowledged
	by    side // who expunged it
}

// ledger keeps what was acknowledged.
type ledger struct {
	mu       sync.Mutex
	next     int
	all      map[int]*message
	byUID    map[uint32]int
	subs     map[string]bool
	modSeq   uint64 // the highest that we have shown
	counts   map[side]int
	report   Report
	examples []string
}

func newLedger() *ledger {
	return &ledger{all: map[int]*message{}, byUID: map[uint32]int{}, subs: map[string]bool{}, counts: map[side]int{}}
}

// account is what one of the parties shows of it all.
type account struct {
	validity, next uint32
	messages       view
	subscribed     map[string]bool
	uidls          []string // by POP3
	modSeq         uint64   // the highest; 0: not asked for
}

// flagsOf are the flags that a side may change on a message: all, while the
// other side rests.
func (r *run) flagsOf(s side, id int) []string {
	theirOwn, ourOwn := []string{`\answered`, "theirs"}, []string{`\flagged`, "ours"}
	own := theirOwn
	if s == ours {
		own = ourOwn
	}
	switch {
	case r.o.Turns > 0:
		own = append(append(theirOwn, ourOwn...), `\seen`, `\draft`)
	case (id%2 == 0) == bool(s):
		own = append(own, `\seen`)
	}
	return own
}

// begin makes a new message's id.
func (l *ledger) begin() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	return l.next
}

// stored notes an acknowledged message; uid may be 0.
func (l *ledger) stored(id int, uid uint32, flags ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &message{id: id, flags: map[string]bool{}, busy: map[side]bool{}}
	for _, f := range flags {
		m.flags[f] = true
	}
	l.all[id] = m
	if uid != 0 {
		l.see(id, uid)
	}
}

// seen notes that somebody shows message id under uid.
func (l *ledger) seen(id int, uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.see(id, uid)
}

func (l *ledger) see(id int, uid uint32) {
	m := l.all[id]
	if m == nil {
		return // its delivery is not acknowledged yet
	}
	if m.uid != 0 && m.uid != uid {
		l.wrong(&l.report.ChangedUIDs, "message %d had UID %d and has %d", id, m.uid, uid)
	}
	if was, ok := l.byUID[uid]; ok && was != id {
		l.wrong(&l.report.ChangedUIDs, "UID %d was message %d and is %d", uid, was, id)
	}
	l.byUID[uid] = id
	if m.uid != uid { // read without the lock by whoever picked it
		m.uid = uid
	}
}

func (l *ledger) wrong(count *int, format string, args ...any) {
	*count++
	if len(l.examples) < 20 {
		l.examples = append(l.examples, fmt.Sprintf(format, args...))
	}
}

func (l *ledger) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Failed++
	if l.report.FirstFailure == "" {
		l.report.FirstFailure = err.Error()
	}
}

func (l *ledger) done(s side) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[s]++
}

// pick takes a message whose UID is known for a side; give it back with give.
// nil: there is none.
func (l *ledger) pick(s side, rnd *rand.Rand) *message {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 20 {
		if l.next == 0 {
			return nil
		}
		m := l.all[1+rnd.IntN(l.next)]
		if m != nil && m.uid != 0 && !m.dying && !m.busy[s] {
			m.busy[s] = true
			return m
		}
	}
	return nil
}

func (l *ledger) give(s side, m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.busy[s] = false
}

// changed notes an acknowledged flag.
func (l *ledger) changed(m *message, flag string, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.flags[flag] = on
}

// subscribed notes an acknowledged subscription.
func (l *ledger) subscribed(folder string, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.subs[folder] = on
}

// dies notes that a message is about to be expunged.
func (l *ledger) dies(m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.dying = true
}

func (l *ledger) died(s side, m *message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m.dead, m.by = true, s
}

// climb holds HIGHESTMODSEQ of the sides, in the order of time, against the
// last one: a client that goes along must never see it fall. A release may
// raise Dovecot's above ours, by what we had set aside.
func (l *ledger) climb(when string, left, found account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if left.modSeq < l.modSeq || found.modSeq < left.modSeq {
		l.wrong(&l.report.Disagreements, "%s: HIGHESTMODSEQ was %d, is %d with the side that worked, and %d with the other one", when, l.modSeq, left.modSeq, found.modSeq)
	}
	l.modSeq = found.modSeq
}

// agree compares what the sides show with each other and with the
// subscriptions that were acknowledged.
func (l *ledger) agree(when string, us, them account) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if us.validity != them.validity || us.next != them.next {
		l.wrong(&l.report.Disagreements, "%s: UIDVALIDITY and UIDNEXT are %d %d with us, %d %d with Dovecot", when, us.validity, us.next, them.validity, them.next)
	}
	if !slices.Equal(us.uidls, them.uidls) {
		l.wrong(&l.report.Disagreements, "%s: POP3 ids are %.200v with us, %.200v with Dovecot", when, us.uidls, them.uidls)
	}
	for folder, on := range l.subs {
		if us.subscribed[folder] != on || them.subscribed[folder] != on {
			l.wrong(&l.report.LostSubscriptions, "%s: %s is subscribed to: %v; with us %v, with Dovecot %v", when, folder, on, us.subscribed[folder], them.subscribed[folder])
		}
	}
	for id, m := range l.all {
		a, b := us.messages[id], them.messages[id]
		same := slices.EqualFunc(a, b, func(a, b shown) bool {
			return a.uid == b.uid && maps.Equal(a.without(`\recent`), b.without(`\recent`))
		})
		if !same {
			l.wrong(&l.report.Disagreements, "%s: message %d (UID %d) is %v with us, %v with Dovecot", when, id, m.uid, a, b)
		}
	}
}

// without is its flags without one.
func (s shown) without(flag string) map[string]bool {
	out := maps.Clone(s.flags)
	delete(out, flag)
	return out
}

// compare holds what is shown against what was acknowledged.
func (l *ledger) compare(ourView, theirView, onDisk view) Report {
	for id, copies := range onDisk {
		for _, c := range copies {
			l.seen(id, c.uid)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, m := range l.all {
		files := onDisk[id]
		l.report.Messages += len(files)
		switch {
		case m.dead && len(files) > 0:
			l.wrong(&l.report.BackFromDead, "message %d (UID %d) was expunged by %s and is there: %v", id, m.uid, m.by, files)
		case !m.dying && len(files) == 0:
			l.wrong(&l.report.LostMessages, "message %d (UID %d) is lost", id, m.uid)
		case len(files) > 1:
			l.wrong(&l.report.ChangedUIDs, "message %d is there %d times", id, len(files))
		}
		if m.dying || len(files) != 1 {
			continue
		}
		for flag, want := range m.flags {
			l.report.Acknowledged++
			if files[0].flags[flag] != want {
				l.wrong(&l.report.LostFlags, "message %d (UID %d): %s should be %v", id, m.uid, flag, want)
			}
			for who, v := range map[string]view{"we": ourView, "Dovecot": theirView} {
				if len(v[id]) != 1 || v[id][0].flags[flag] != files[0].flags[flag] {
					l.wrong(&l.report.Disagreements, "message %d (UID %d): %s shows %v, the file name says %v of %s", id, m.uid, who, v[id], files[0].flags[flag], flag)
				}
			}
		}
	}
	l.report.Ours, l.report.Theirs, l.report.Examples = l.counts[ours], l.counts[theirs], l.examples
	return l.report
}

// flagNames are the IMAP names of flags in lower case.
func flagNames(f maildir.Flags) map[string]bool {
	out := map[string]bool{}
	for name, bit := range flagBits() {
		if f&bit != 0 {
			out[name] = true
		}
	}
	return out
}

func flagBits() map[string]maildir.Flags {
	return map[string]maildir.Flags{
		`\answered`: maildir.Answered, `\flagged`: maildir.Flagged, `\seen`: maildir.Seen,
		`\deleted`: maildir.Deleted, `\draft`: maildir.Draft,
	}
}

// samples are durations.
type samples struct {
	mu  sync.Mutex
	all []time.Duration
}

func (s *samples) add(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, d)
}

func (s *samples) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// figures are the median, the 99th percentile and the largest.
func (s *samples) figures() (p50, p99, longest time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return 0, 0, 0
	}
	slices.Sort(s.all)
	n := len(s.all)
	return s.all[n/2], s.all[n*99/100], s.all[n-1]
}

// isKeyword tells keywords from the flags that begin with a backslash.
func isKeyword(flag string) bool { return !strings.HasPrefix(flag, `\`) }
