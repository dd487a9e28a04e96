package whole

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
)

// maybe is what is known of a fact: nothing after a command whose answer a kill
// has taken away. What a later session shows settles it for good: a process that
// is killed leaves what it has written.
type maybe int8

const (
	no maybe = iota
	yes
	open
)

func known(b bool) maybe {
	if b {
		return yes
	}
	return no
}

// kept is what the ledger knows of one message.
type kept struct {
	n     int
	owner int                         // the worker that may change it
	in    map[string]maybe            // the folders in which it is: two, when a MOVE was cut off
	uid   map[string]uint32           // its UID there, 0: not known
	flags map[string]map[string]maybe // there, by lower case names
}

// place is one that no two messages may ever have.
type place struct {
	folder string
	uid    uint32
}

// mailLedger holds what clients were told against what they are shown.
type mailLedger struct {
	t        *testing.T
	mu       sync.Mutex
	all      map[int]*kept
	at       map[place]int     // every place that was ever shown or told
	validity map[string]uint32 // by folder
	next     map[string]uint32
	last     int
	facts    int // that were compared
	shown    int // places
}

func newMailLedger(t *testing.T) *mailLedger {
	return &mailLedger{t: t, all: map[int]*kept{}, at: map[place]int{}, validity: map[string]uint32{}, next: map[string]uint32{}}
}

// folders are those of the test; messages arrive in the first one.
func folders() []string { return []string{"INBOX", "Other"} }

// trials are the flags that are changed.
func trials() []imap.Flag {
	return []imap.Flag{imap.FlagSeen, imap.FlagFlagged, imap.FlagAnswered, imap.FlagDraft, "Blue", "Green"}
}

func lowerFlag(f imap.Flag) string { return strings.ToLower(string(f)) }

// add is a new message that may arrive in folder.
func (l *mailLedger) add(owner int, folder string) *kept {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	k := &kept{n: l.last, owner: owner, in: map[string]maybe{folder: open}, uid: map[string]uint32{}, flags: map[string]map[string]maybe{folder: {}}}
	l.all[k.n] = k
	return k
}

// sure notes that a message is in a folder, or is not; uid may be 0.
func (l *mailLedger) sure(k *kept, folder string, is maybe, uid uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.in[folder] = is
	if is == no {
		delete(k.uid, folder)
	}
	if uid != 0 {
		k.uid[folder] = uid
		l.see(k.n, place{folder, uid})
	}
}

func (l *mailLedger) flag(k *kept, folder string, f imap.Flag, is maybe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.flags[folder][lowerFlag(f)] = is
}

// moves notes that a message is about to be moved, with its flags.
func (l *mailLedger) moves(k *kept, from, to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.in[from], k.in[to], k.flags[to] = open, open, maps.Clone(k.flags[from])
}

// see notes that message n has a place; the ledger is locked.
func (l *mailLedger) see(n int, p place) {
	if was, ok := l.at[p]; ok && was != n {
		l.t.Errorf("UID %d of %s was message %d and is %d", p.uid, p.folder, was, n)
	}
	l.at[p] = n
}

// pick is a message of a worker that is in a folder for sure; nil if there is none.
func (l *mailLedger) pick(owner int, folder string) *kept {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range 50 {
		if k := l.all[1+rand.IntN(l.last+1)]; k != nil && k.owner == owner && k.in[folder] == yes && k.uid[folder] != 0 {
			return k
		}
	}
	return nil
}

// shownFolder is what a new session sees of a folder.
type shownFolder struct {
	name           string
	validity, next uint32
	messages       []shownMessage
}

type shownMessage struct {
	n     int
	uid   uint32
	flags map[string]bool
	whole bool
}

// settle compares what a new session shows with what was told, and takes what
// was open from it. Nobody else works meanwhile.
func (l *mailLedger) settle(when string, all []shownFolder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range all {
		l.settleFolder(when, f)
	}
	for n, k := range l.all {
		if !slices.ContainsFunc(folders(), func(f string) bool { return k.in[f] == yes }) {
			delete(l.all, n) // expunged, or never taken; its places stay known
		}
	}
}

func (l *mailLedger) settleFolder(when string, f shownFolder) {
	if was := l.validity[f.name]; was != 0 && was != f.validity {
		l.t.Errorf("%s: UIDVALIDITY of %s was %d and is %d", when, f.name, was, f.validity)
	}
	if f.next < l.next[f.name] {
		l.t.Errorf("%s: UIDNEXT of %s was %d and is %d", when, f.name, l.next[f.name], f.next)
	}
	l.validity[f.name], l.next[f.name] = f.validity, f.next
	seen := map[int]bool{}
	for _, m := range f.messages {
		l.shown++
		l.see(m.n, place{f.name, m.uid})
		k := l.all[m.n]
		switch {
		case !m.whole:
			l.t.Errorf("%s: message %d in %s is not as it was sent", when, m.n, f.name)
		case k == nil || k.in[f.name] == no:
			l.t.Errorf("%s: message %d (UID %d) was expunged from %s, or moved, and is there", when, m.n, m.uid, f.name)
			continue
		case seen[m.n]:
			l.t.Errorf("%s: message %d is in %s twice", when, m.n, f.name)
		case k.uid[f.name] != 0 && k.uid[f.name] != m.uid:
			l.t.Errorf("%s: message %d had UID %d in %s and has %d", when, m.n, k.uid[f.name], f.name, m.uid)
		}
		seen[m.n] = true
		k.in[f.name], k.uid[f.name] = yes, m.uid
		l.settleFlags(when, f.name, k, m)
	}
	for n, k := range l.all {
		if seen[n] {
			continue
		}
		if k.in[f.name] == yes {
			l.t.Errorf("%s: message %d (UID %d) was told to be in %s and is lost", when, n, k.uid[f.name], f.name)
		}
		k.in[f.name] = no
		delete(k.uid, f.name)
	}
}

func (l *mailLedger) settleFlags(when, folder string, k *kept, m shownMessage) {
	for _, f := range trials() {
		name := lowerFlag(f)
		if want := k.flags[folder][name]; want != open && want != known(m.flags[name]) {
			l.t.Errorf("%s: message %d (UID %d of %s): %s should be %v", when, k.n, m.uid, folder, f, want == yes)
		}
		l.facts++
		k.flags[folder][name] = known(m.flags[name])
	}
}

func (l *mailLedger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d messages, %d UIDs, %d messages and %d flags compared", l.last, len(l.at), l.shown, l.facts)
}
