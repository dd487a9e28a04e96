package cache

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/message/digest"
)

// fact is what is true of a message.
type fact struct {
	envelope string
	keys     digest.Keys
	meets    map[string]bool // queries, by name
}

// faultyWorld is a world whose cache is on a disk that may fail.
type faultyWorld struct {
	*world
	disk  *disk.Faulty
	facts map[uint32]fact
}

const faultyMessages = 12

// facts of the messages of a new world.
func facts(t *testing.T) map[uint32]fact {
	all := map[uint32]fact{}
	for uid, text := range newWorld(t, faultyMessages).text {
		root, h := parse(t, text)
		f := fact{envelope: string(root.Envelope), keys: digest.KeysOf(h), meets: map[string]bool{}}
		for name, c := range queries() {
			f.meets[name] = c.want(h)
		}
		all[uid] = f
	}
	return all
}

// right demands that all that is answered is true; what a search leaves open is
// read from the messages by whoever asks.
func (w *faultyWorld) right(what string) {
	w.t.Helper()
	uids := w.uids()
	for _, uid := range uids {
		if e, err := w.cache.Entry(context.Background(), uid); err != nil || string(e.Envelope) != w.facts[uid].envelope {
			w.t.Fatalf("%s: message %d: %s, %v", what, uid, e.Envelope, err)
		}
	}
	for name, c := range queries() {
		found, open := w.search(c.q)
		missing := 0
		for _, uid := range uids {
			switch meets := w.facts[uid].meets[name]; {
			case slices.Contains(found, uid) && !meets:
				w.t.Fatalf("%s, %s: %d is found", what, name, uid)
			case meets && !slices.Contains(found, uid):
				missing++
			}
		}
		if missing > open {
			w.t.Fatalf("%s, %s: %d missing and %d open", what, name, missing, open)
		}
	}
	keys := 0
	must(w.t, w.cache.Keys(context.Background(), uids, func(i int, k *digest.Keys) {
		keys++
		if want := w.facts[uids[i]].keys; !want.Sent.Equal(k.Sent) {
			w.t.Fatalf("%s: message %d was sent %v, want %v", what, uids[i], k.Sent, want.Sent)
		}
	}))
	if keys != len(uids) {
		w.t.Fatalf("%s: keys of %d messages", what, keys)
	}
}

// work uses the cache in each way in which its files change.
func (w *faultyWorld) work(what string) {
	w.t.Helper()
	for _, uid := range w.uids()[:faultyMessages/2] {
		w.entry(uid)
	}
	_, err := w.cache.Full(context.Background(), 1)
	must(w.t, err)
	w.cache.Rest() // a small block, which becomes one with the next
	w.right(what)
	w.cache.Sleep()
	w.right(what + ", after a sleep")
	if w.cache.Reset() == nil { // else whoever asked for it asks again
		clear(w.place)
	}
	w.right(what + ", after a reset")
	delete(w.text, 1)
	delete(w.place, 1)
	if void, err := w.cache.Trim(len(w.text)); err == nil && void {
		clear(w.place)
	}
	w.cache.Close()
}

// One operation fails, or all from one on, at every place in turn. Whatever the
// cache says is right meanwhile; and it is used again when the disk can.
func TestFaultEverywhere(t *testing.T) {
	all := facts(t)
	for _, f := range []disk.Fault{
		{Op: disk.OpWrite, Err: syscall.ENOSPC, Short: true},
		{Op: disk.OpCreate, Err: syscall.EROFS},
		{Op: disk.OpTruncate, Err: syscall.EIO},
		{Op: disk.OpRead, Err: syscall.EIO},
		{Op: disk.OpStat, Err: syscall.EIO},
		{Op: disk.OpClose, Err: syscall.EIO},
	} {
		for _, forever := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v, forever %v", f.Op, f.Err, forever), func(t *testing.T) {
				f.Nth, f.Forever = 1, forever
				for ; failCache(t, f, all) && !t.Failed(); f.Nth++ {
					if f.Op == disk.OpRead && f.Nth > 50 {
						f.Nth += 9 // there is one for each message and query
					}
				}
				if f.Nth == 1 {
					t.Error("never done: the test shows nothing")
				}
			})
		}
	}
}

// failCache returns false when the fault did not come.
func failCache(t *testing.T, fault disk.Fault, all map[uint32]fact) bool {
	t.Helper()
	w := &faultyWorld{world: newWorld(t, faultyMessages), facts: all}
	w.disk = disk.NewFaulty(w.fs, fault)
	w.cache = New(w.disk, "/box", w.fakeBox, new(Memory))
	what := fmt.Sprintf("number %d", fault.Nth)
	w.work(what)
	hit := w.disk.Hits() > 0
	w.disk.Clear()
	w.cache = New(w.disk, "/box", w.fakeBox, new(Memory))
	defer w.cache.Close()
	w.right(what + ", on a good disk again")
	w.reads()
	w.right(what + ", once more")
	if n := w.reads(); n != 0 {
		t.Errorf("%s: %d messages were read again", what, n)
	}
	w.checkQueries(what+", at last", 0)
	return hit
}
