package mailbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/store/maildir"
)

const big = 100_000

// bigHouse is a house whose INBOX holds many messages, on a real disk.
func bigHouse(b *testing.B, n int) *house {
	b.Helper()
	h := live(b, Config{NoWatch: false})
	cur := filepath.Join(h.cfg.Maildir, "cur")
	text := []byte("Subject: x\n\nbody\n")
	for i := range n {
		name := fmt.Sprintf("1795442559.M%dP20153.vm,S=17,W=20:2,S", i)
		if err := os.WriteFile(filepath.Join(cur, name), text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return h
}

// again closes the account's folders, so that the next opening reads the disk.
func (h *house) again() {
	must(h.t, h.store.Release(bg, h.cfg.User))
	a, err := h.store.Account(bg, h.cfg)
	must(h.t, err)
	h.acct = a
}

// Benchmark100k is what one does with a folder of 100 000 messages. All share
// one: to write it takes longer than to measure.
func Benchmark100k(b *testing.B) {
	h := bigHouse(b, big)
	for _, part := range []struct {
		name string
		run  func(b *testing.B, h *house)
	}{
		{"FirstOpen", benchFirstOpen},
		{"OpenWithIndex", benchOpenWithIndex},
		{"SyncNothing", benchSyncNothing},
		{"FullScan", benchFullScan},
		{"Diff", benchDiff},
		{"StoreOne", benchStoreOne},
		{"StoreAll", benchStoreAll},
		{"SyncAfterDelivery", benchSyncAfterDelivery}, // the last: there are more messages then
	} {
		b.Run(part.name, func(b *testing.B) {
			h.t = b
			part.run(b, h)
		})
	}
	h.t = b
}

func benchFirstOpen(b *testing.B, h *house) {
	for b.Loop() {
		m := h.box("INBOX")
		if m.Snapshot().Len() != big {
			b.Fatal("not all there")
		}
		b.StopTimer()
		must(b, h.store.Release(bg, h.cfg.User))
		must(b, os.RemoveAll(filepath.Join(h.base, "index")))
		must(b, os.Remove(filepath.Join(h.cfg.Maildir, "dovecot-uidlist")))
		a, err := h.store.Account(bg, h.cfg)
		must(b, err)
		h.acct = a
		b.StartTimer()
	}
}

func benchOpenWithIndex(b *testing.B, h *house) {
	_ = h.box("INBOX")
	h.again()
	f, err := maildir.NewTree(disk.OS(), h.cfg.Maildir, maildir.Options{}).Folder("INBOX")
	must(b, err)
	// Old enough for its mtimes to prove something.
	for s, err := f.Look(); err == nil && !s.Cur.Trusted(); s, err = f.Look() {
	}
	_ = h.box("INBOX")
	h.again()
	for b.Loop() {
		m := h.box("INBOX")
		if m.Snapshot().FirstWithout(Seen) != -1 {
			b.Fatal("not read")
		}
		b.StopTimer()
		h.again()
		b.StartTimer()
	}
}

func benchSyncNothing(b *testing.B, h *house) {
	m := h.box("INBOX")
	defer m.Watch()()
	for b.Loop() {
		must(b, m.Sync(bg))
	}
}

func benchFullScan(b *testing.B, h *house) {
	m := h.box("INBOX")
	for b.Loop() {
		m.box.mu.Lock()
		err := m.box.sync(bg, true)
		m.box.mu.Unlock()
		must(b, err)
	}
}

func benchDiff(b *testing.B, h *house) {
	m := h.box("INBOX")
	old := m.Snapshot()
	_, err := m.Store(bg, SetOf(big/2), change(Add, Flagged))
	must(b, err)
	now := m.Snapshot()
	for b.Loop() {
		if len(Diff(old, now).Changed) != 1 {
			b.Fatal("no difference")
		}
	}
}

func benchStoreOne(b *testing.B, h *house) {
	m := h.box("INBOX")
	for i := 0; b.Loop(); i++ {
		_, err := m.Store(bg, SetOf(uint32(i%big)+1), change(Op(i/big%2), Flagged))
		must(b, err)
	}
}

func benchStoreAll(b *testing.B, h *house) {
	m := h.box("INBOX")
	for i := 0; b.Loop(); i++ {
		_, err := m.Store(bg, Set{{First: 1, Last: big}}, change(Op(i%2), Flagged))
		must(b, err)
	}
	must(b, m.Flush(bg)) // nothing of it disturbs the next
}

func benchSyncAfterDelivery(b *testing.B, h *house) {
	m := h.box("INBOX")
	defer m.Watch()()
	must(b, m.Sync(bg))
	for n := m.Snapshot().Len() + 1; b.Loop(); n++ {
		b.StopTimer()
		h.deliver("INBOX", "x", 0)
		b.StartTimer()
		must(b, m.Sync(bg))
		if m.Snapshot().Len() != n {
			b.Fatal("not there")
		}
	}
}

func BenchmarkStoreAndFlush10k(b *testing.B) {
	h := bigHouse(b, 10_000)
	m := h.box("INBOX")
	for i := 0; b.Loop(); i++ {
		_, err := m.Store(bg, Set{{First: 1, Last: big}}, change(Op(i%2), Flagged))
		must(b, err)
		must(b, m.Flush(bg))
	}
}

func BenchmarkAppend8K(b *testing.B) {
	h := bigHouse(b, 1000)
	m := h.box("INBOX")
	defer m.Watch()()
	body := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 105)
	for b.Loop() {
		h.append("INBOX", body, Incoming{})
	}
}

func BenchmarkEnvelopeCached(b *testing.B) {
	h := bigHouse(b, 1000)
	m := h.box("INBOX")
	var buf []byte
	for uid := uint32(1); uid <= 1000; uid++ {
		_, err := m.AppendEnvelope(bg, buf[:0], uid)
		must(b, err)
	}
	i := uint32(0)
	for b.Loop() {
		i = i%1000 + 1
		var err error
		buf, err = m.AppendEnvelope(bg, buf[:0], i)
		must(b, err)
	}
}

func BenchmarkEnvelopeParsed(b *testing.B) {
	h := bigHouse(b, 1000)
	m := h.box("INBOX")
	i := uint32(0)
	for b.Loop() {
		i = i%1000 + 1
		p, f, err := m.Structure(bg, i)
		must(b, err)
		_ = p
		must(b, f.Close())
	}
}

// BenchmarkTransfer10k is COPY of 10 000 messages into an empty folder, and MOVE
// of them from there into another.
func BenchmarkTransfer10k(b *testing.B) {
	const n = 10_000
	h := bigHouse(b, n)
	m := h.box("INBOX")
	defer m.Watch()()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		first, second := fmt.Sprint("A", i), fmt.Sprint("B", i)
		must(b, h.acct.Create(bg, first))
		must(b, h.acct.Create(bg, second))
		b.StartTimer()
		start := time.Now()
		got, err := m.Copy(bg, SetOf(m.Snapshot().UIDs()...), first)
		must(b, err)
		copied := time.Since(start)
		if len(got.Dest) != n {
			b.Fatal("not all were copied")
		}
		b.StopTimer()
		from := h.box(first)
		stop := from.Watch()
		b.StartTimer()
		start = time.Now()
		_, err = from.Move(bg, SetOf(from.Snapshot().UIDs()...), second)
		must(b, err)
		b.ReportMetric(copied.Seconds()*1000, "ms/copy")
		b.ReportMetric(time.Since(start).Seconds()*1000, "ms/move")
		b.StopTimer()
		stop()
		must(b, from.Close())
		b.StartTimer()
	}
}
