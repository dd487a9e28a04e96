package cache

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/message"
	"github.com/postcote/postcote/pkg/platform/message/collate"
	"github.com/postcote/postcote/pkg/platform/message/digest"
)

func TestEntriesSayWhatTheMessageSays(t *testing.T) {
	w := newWorld(t, 50)
	for round, what := range []string{"made", "kept", "after reopening"} {
		for uid, text := range w.text {
			root, h := parse(t, text)
			e := w.entry(uid)
			if string(e.Envelope) != string(root.Envelope) || string(e.Structure) != string(message.AppendBodyStructure(nil, root, true)) {
				t.Fatalf("%s: %s %s", what, e.Envelope, e.Structure)
			}
			raw, ok := e.Fields("from", "SUBJECT", "X-Not-There")
			if got := message.SelectFields(raw, []string{"from", "SUBJECT"}); !ok || !sameBody(t, got, message.FieldsBody(h, []string{"From", "Subject"}, false)) {
				t.Fatalf("%s: fields %q %v", what, raw, ok)
			}
			for _, name := range []string{"Received", "dkim-signature"} {
				if _, ok := e.Fields("From", name); ok {
					t.Fatalf("%s: %s is not kept and was promised", what, name)
				}
			}
			samePlaces(t, text, root, &e)
		}
		if n := w.reads(); (n > 0) != (round == 0) {
			t.Errorf("%s: %d files opened", what, n)
		}
		if round == 1 {
			w.reopen()
		}
	}
}

// samePlaces reads every part by the places of the entry.
func samePlaces(t *testing.T, text string, root *message.Part, e *Entry) {
	t.Helper()
	got, ok := e.Root()
	if !ok {
		t.Fatal("no root")
	}
	for _, path := range [][]int{nil, {1}, {2}, {2, 1}, {3}} {
		for _, kind := range []message.SectionKind{message.SectionAll, message.SectionHeader, message.SectionText, message.SectionMIME} {
			s := message.Section{Path: path, Kind: kind}
			a, aerr := message.OpenSection(strings.NewReader(text), root, s, message.DefaultLimits())
			b, berr := message.OpenSection(strings.NewReader(text), got, s, message.DefaultLimits())
			if (aerr == nil) != (berr == nil) || aerr == nil && !sameBody(t, a, b) {
				t.Fatalf("section %v %v: %v %v", path, kind, aerr, berr)
			}
		}
	}
	want := root
	for p := range got.Walk() {
		_ = p
	}
	if a, b := texts(want, text), texts(got, text); a != b {
		t.Fatalf("texts %q, want %q", b, a)
	}
}

func texts(root *message.Part, text string) string {
	var out strings.Builder
	for p := range root.Walk() {
		if r, ok := message.Text(strings.NewReader(text), p); ok {
			b, _ := io.ReadAll(r)
			out.Write(b)
			out.WriteByte('|')
		}
	}
	return out.String()
}

func sameBody(t *testing.T, a, b *message.Body) bool {
	t.Helper()
	if a.Size() != b.Size() {
		return false
	}
	x, err := io.ReadAll(a)
	must(t, err)
	y, err := io.ReadAll(b)
	must(t, err)
	return string(x) == string(y)
}

func TestPreviewAndIDAreMadeWhenTheyAreAskedFor(t *testing.T) {
	w := newWorld(t, 3)
	w.entry(1)
	w.reads()
	for range 2 {
		e, err := w.cache.Full(context.Background(), 1)
		must(t, err)
		root, _ := parse(t, w.text[1])
		id, err := digest.EmailID(strings.NewReader(w.text[1]))
		must(t, err)
		if string(e.Preview) != digest.Preview(strings.NewReader(w.text[1]), root) || string(e.EmailID) != id {
			t.Errorf("%q %q", e.Preview, e.EmailID)
		}
	}
	if n := w.reads(); n != 1 {
		t.Errorf("%d files opened", n)
	}
	if n := w.cache.columns.rowsKept(); n != 1 {
		t.Errorf("%d rows of one message", n)
	}
}

// queries are searches with what each message answers to them.
func queries() map[string]struct {
	q    Query
	want func(h message.Header) bool
} {
	field := func(name, needle string) func(h message.Header) bool {
		return func(h message.Header) bool {
			for f := range h.All(name) {
				if strings.Contains(collate.String(message.DecodeWords(f.Value())), collate.String(needle)) {
					return true
				}
			}
			return false
		}
	}
	date := func(rel, day int) func(h message.Header) bool {
		return func(h message.Header) bool {
			d, ok := message.ParseDate(h.Get("Date"))
			return ok && (rel < 0 && d.Day() < day || rel == 0 && d.Day() == day || rel > 0 && d.Day() >= day)
		}
	}
	text := func(name, needle string) Query { return Query{Field: name, Needle: []byte(collate.String(needle))} }
	const jan = 19723 // 1 Jan 2024
	return map[string]struct {
		q    Query
		want func(h message.Header) bool
	}{
		"subject":            {text("subject", "grÖße"), field("Subject", "größe")},
		"part of a word":     {text("Subject", "ord1"), field("Subject", "ord1")},
		"in none":            {text("Subject", "nowhere"), field("Subject", "nowhere")},
		"from":               {text("From", "P3@"), field("From", "p3@")},
		"folded to":          {text("To", "b@example"), field("To", "b@example")},
		"over two values":    {text("From", "example.org>person"), field("From", "example.org>person")},
		"message id":         {text("Message-ID", "<7@x>"), field("Message-ID", "<7@x>")},
		"cc, which none has": {text("Cc", "a"), field("Cc", "a")},
		"sent since":         {Query{Rel: 1, Day: jan + 9}, date(1, 10)},
		"sent before":        {Query{Rel: -1, Day: jan + 9}, date(-1, 10)},
		"sent on":            {Query{Rel: 0, Day: jan + 9}, date(0, 10)},
	}
}

func (w *world) checkQueries(what string, wantOpen int) {
	w.t.Helper()
	for name, c := range queries() {
		var want []uint32
		for _, uid := range w.uids() {
			if _, h := parse(w.t, w.text[uid]); c.want(h) {
				want = append(want, uid)
			}
		}
		got, open := w.search(c.q)
		if wantOpen == 0 && !slices.Equal(got, want) || open != wantOpen {
			w.t.Errorf("%s, %s: %d found, %d open; want %d, %d", what, name, len(got), open, len(want), wantOpen)
		}
	}
}

func TestSearch(t *testing.T) {
	const n = 2200 // some blocks
	w := newWorld(t, n)
	w.checkQueries("nothing is kept", n)
	for _, uid := range []uint32{2199, 5, 1} { // out of order
		w.entry(uid)
	}
	win := w.cache.Ahead(context.Background(), w.uids(), nil, false)
	for _, uid := range w.uids() {
		_, err := win.Entry(context.Background(), uid)
		must(t, err)
	}
	win.Stop()
	w.reads()
	w.checkQueries("some in memory", 0)
	w.reopen()
	w.checkQueries("all in blocks", 0)
	for uid := uint32(3); uid <= n; uid += 3 {
		delete(w.text, uid)
	}
	w.checkQueries("a third is gone", 0)
	must(t, w.cache.columns.reset())
	w.checkQueries("the columns were lost", 0)
	if w.reads() != 0 {
		t.Error("files were opened")
	}
}

func TestKeys(t *testing.T) {
	w := newWorld(t, 1500)
	for uid := uint32(1); uid <= 1200; uid++ {
		w.entry(uid)
	}
	delete(w.text, 7)
	uids := append(w.uids(), 7)
	slices.Sort(uids)
	for _, what := range []string{"partly in memory", "in blocks"} {
		got := map[uint32]digest.Keys{}
		must(t, w.cache.Keys(context.Background(), uids, func(i int, k *digest.Keys) { got[uids[i]] = *k }))
		for uid, text := range w.text {
			_, h := parse(t, text)
			want, have := digest.KeysOf(h), got[uid]
			if !want.Sent.Equal(have.Sent) {
				t.Fatalf("%s: %d was sent %v, want %v", what, uid, have.Sent, want.Sent)
			}
			have.Sent = want.Sent
			if !reflect.DeepEqual(have, want) {
				t.Fatalf("%s: %d has %+v, want %+v", what, uid, have, want)
			}
		}
		w.reopen()
	}
}

func TestMessagesTooOddForColumns(t *testing.T) {
	w := newWorld(t, 2)
	w.text[1] = "Subject: x\nTo: " + strings.Repeat("a@b, ", maxText) + "\n\nx"
	w.entry(1)
	w.entry(2)
	if got, open := w.search(Query{Field: "Subject", Needle: []byte("X")}); len(got) != 0 || open != 1 {
		t.Errorf("%v, %d open", got, open)
	}
	must(t, w.cache.Keys(context.Background(), []uint32{1, 2}, func(i int, k *digest.Keys) {
		if i == 0 && k.Subject != "X" {
			t.Errorf("%+v", k)
		}
	}))
}

func TestUnusualQueriesStayOpen(t *testing.T) {
	w := newWorld(t, 3)
	for uid := range w.text {
		w.entry(uid)
	}
	for _, q := range []Query{
		{Field: "Subject"}, {Field: "Subject", Needle: []byte("A\nB")}, {Field: "X-Other", Needle: []byte("A")},
	} {
		if _, open := w.search(q); open != 3 {
			t.Errorf("%+v: %d open", q, open)
		}
	}
}

// A file of an older version, or of anything else, is begun anew.
func TestOldFilesAreDropped(t *testing.T) {
	for _, old := range []string{
		"PCIXCCH\x01" + strings.Repeat("\x00", 8) + "PCC\x01\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00xx\x00\x00\x00\x00\x00\x00",
		"PCIXCOL\x00garbage", "x", "",
	} {
		w := newWorld(t, 20)
		w.cache.Close()
		for _, name := range []string{cacheName, columnsName} {
			write(t, w.fs, "/box/"+name, old)
		}
		w.place[1] = 16 // as an old index has it
		w.reopen()
		if e := w.entry(1); !strings.Contains(string(e.Envelope), "Person") {
			t.Errorf("%q: %s", old, e.Envelope)
		}
		w.entry(2)
		w.reopen()
		w.reads()
		w.entry(1)
		w.entry(2)
		if n := w.reads(); n != 0 {
			t.Errorf("%q: nothing was kept in the new files", old)
		}
	}
}

func write(t testing.TB, fs disk.FS, name, data string) {
	t.Helper()
	f, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	must(t, err)
	_, err = f.WriteAt([]byte(data), 0)
	must(t, err)
	must(t, f.Close())
}

func load(t testing.TB, fs disk.FS, name string) string {
	t.Helper()
	f, err := fs.OpenFile(name, os.O_RDONLY, 0)
	must(t, err)
	defer f.Close()
	info, err := f.Stat()
	must(t, err)
	b := make([]byte, info.Size())
	_, err = f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever is changed or cut in the files, nothing wrong is shown.
func TestDamageIsNoticed(t *testing.T) {
	w := newWorld(t, 40)
	for _, uid := range w.uids() {
		w.entry(uid)
	}
	w.cache.Close()
	for _, name := range []string{cacheName, columnsName} {
		good := load(t, w.fs, "/box/"+name)
		for at := 0; at < len(good); at += 1 + len(good)/40 {
			bad := []byte(good)
			bad[at] ^= 0x41
			if at%2 == 1 {
				bad = bad[:at]
			}
			write(t, w.fs, "/box/"+name, string(bad))
			w.reopen()
			for _, uid := range []uint32{1, 20, 40} {
				root, _ := parse(t, w.text[uid])
				if e := w.entry(uid); string(e.Envelope) != string(root.Envelope) {
					t.Fatalf("%s changed at %d: message %d has %s", name, at, uid, e.Envelope)
				}
			}
			w.checkQueries(name, 0) // regained from entries, or from those made again
			w.cache.Close()
			write(t, w.fs, "/box/"+name, good)
		}
	}
}

func TestTrim(t *testing.T) {
	w := newWorld(t, 10)
	for uid := uint32(1); uid <= 10; uid++ {
		w.entry(uid)
	}
	if void, err := w.cache.Trim(1); void || err != nil {
		t.Errorf("a small file was begun anew: %v %v", void, err)
	}
	_, err := w.cache.entries.put([]uint32{11}, make([]byte, 9<<20), []int{9 << 20})
	must(t, err)
	if void, err := w.cache.Trim(10); !void || err != nil || w.cache.Size() != cacheHeader {
		t.Errorf("%v %v, %d bytes", void, err, w.cache.Size())
	}
	must(t, w.cache.Reset())
	if n := w.cache.columns.rowsKept(); n != 0 {
		t.Errorf("%d rows after a reset", n)
	}
}

// A message that arrives by itself each time costs a few rows written again,
// not all of them, and leaves few blocks.
func TestSmallBlocksGrowTogether(t *testing.T) {
	w := newWorld(t, 600)
	for uid := uint32(1); uid <= 600; uid++ {
		w.entry(uid)
		w.cache.Rest()
	}
	if n := len(w.cache.columns.blocks); n > 12 {
		t.Errorf("%d blocks", n)
	}
	w.checkQueries("grown", 0)
	w.reopen()
	w.checkQueries("reopened", 0)
}

func TestAhead(t *testing.T) {
	w := newWorld(t, 500)
	delete(w.text, 100)
	uids := w.uids()
	uids = slices.Insert(uids, 99, 100)
	fields := []string{"from", "Subject", "X-Nothing"}
	win := w.cache.Ahead(context.Background(), uids, fields, false)
	defer win.Stop()
	for _, uid := range append(slices.Clone(uids), 3, 501) { // the last two in no order
		e, err := win.Entry(context.Background(), uid)
		if uid == 100 || uid == 501 {
			if !fail.Is(err, fail.NotFound) {
				t.Errorf("%d: %v", uid, err)
			}
			continue
		}
		must(t, err)
		root, h := parse(t, w.text[uid])
		if string(root.Envelope) != string(e.Envelope) {
			t.Fatalf("%d: %s", uid, e.Envelope)
		}
		if uid == 3 { // it was left behind
			continue
		}
		want, err := io.ReadAll(message.FieldsBody(h, fields, false))
		must(t, err)
		if got := win.Fields(uid, fields); string(got) != string(want) || !win.Ready(uid) {
			t.Fatalf("%d: %q, want %q", uid, got, want)
		}
		if got := win.Fields(uid, fields[1:]); got != nil {
			t.Fatalf("%d: %q was not picked", uid, got)
		}
	}
	if n := w.reads(); n != 499 {
		t.Errorf("%d files opened", n)
	}
}

// Fields that are not kept are picked from nothing: the message must be asked.
func TestAheadPicksNothingThatIsNotKept(t *testing.T) {
	w := newWorld(t, 100)
	fields := []string{"From", "Received"}
	for range 2 { // made, kept
		win := w.cache.Ahead(context.Background(), w.uids(), fields, false)
		for _, uid := range w.uids() {
			_, err := win.Entry(context.Background(), uid)
			must(t, err)
			if got := win.Fields(uid, fields); got != nil || win.Ready(uid) {
				t.Fatalf("%d: %q", uid, got)
			}
		}
		win.Stop()
	}
}

// The memory of a step is used again, however large its entries are.
func TestAheadKeepsNoMoreThanItNeeds(t *testing.T) {
	w := newWorld(t, 2000)
	for uid, text := range w.text {
		w.text[uid] = "Subject: " + strings.Repeat("long ", int(uid)%800) + "\n" + text
	}
	for round := range 2 {
		win := w.cache.Ahead(context.Background(), w.uids(), nil, false)
		for _, uid := range w.uids() {
			e, err := win.Entry(context.Background(), uid)
			must(t, err)
			if root, _ := parse(t, w.text[uid]); string(root.Envelope) != string(e.Envelope) {
				t.Fatalf("round %d, %d: %s", round, uid, e.Envelope)
			}
		}
		win.mu.Lock()
		steps := slices.AppendSeq(slices.Clone(win.free), maps.Values(win.steps))
		win.mu.Unlock()
		if n := len(steps); n == 0 || n > maxSteps+maxWorker {
			t.Errorf("%d steps are kept", n)
		}
		win.Stop()
		for _, s := range steps {
			if len(s.room.all) > maxRoom {
				t.Errorf("a step keeps %d bytes", len(s.room.all))
			}
		}
	}
}

// What reading takes is used again by other windows, also those of another
// mailbox, and never by two of them at a time.
func TestAheadSharesMemory(t *testing.T) {
	worlds := []*world{newWorld(t, 100), newWorld(t, 100)}
	var memory Memory
	for i, w := range worlds {
		for uid, text := range w.text {
			w.text[uid] = fmt.Sprintf("Comments: of %d\n", i) + text
		}
		w.cache = New(w.fs, "/box", w.fakeBox, &memory)
	}
	read := func(i, round int) {
		w, fields := worlds[i], []string{"Comments", "Subject"}
		if round%3 == 0 {
			fields = nil
		}
		win := w.cache.Ahead(context.Background(), w.uids(), fields, round%2 == 0)
		defer win.Stop()
		for _, uid := range w.uids() {
			e, err := win.Entry(context.Background(), uid)
			if err != nil {
				t.Errorf("%d: %v", uid, err)
				return
			}
			raw, _ := e.Fields("Comments")
			got := string(win.Fields(uid, fields))
			if want := fmt.Sprintf("Comments: of %d", i); !strings.HasPrefix(string(raw), want) || fields != nil && !strings.HasPrefix(got, want) || fields == nil && got != "" {
				t.Errorf("%d of %d: %q, %q", uid, i, raw, got)
				return
			}
		}
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for round := range 10 {
				read(i%2, round)
			}
		})
	}
	wg.Wait()
}

func TestAheadEndsWithItsCommand(t *testing.T) {
	w := newWorld(t, 500)
	w.hold = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	win := w.cache.Ahead(ctx, w.uids(), nil, false)
	cancel()
	if _, err := win.Entry(ctx, 1); err == nil {
		t.Error("an entry after the end")
	}
	win.Stop() // returns when no worker is left
	if n := w.reads(); n != 0 {
		t.Errorf("%d files opened", n)
	}
}

func TestFill(t *testing.T) {
	w := newWorld(t, 20)
	_, err := w.cache.Full(context.Background(), 1) // somebody wants previews
	must(t, err)
	w.cache.Fill(w.uids())
	w.cache.Settle()
	if n := w.reads(); n != 20 {
		t.Errorf("%d files opened", n)
	}
	for uid := range w.text {
		if e := w.entry(uid); !e.Previewed() {
			t.Errorf("%d has no preview", uid)
		}
	}
	w.checkQueries("filled", 0)
	if n := w.reads(); n != 0 {
		t.Errorf("%d files opened again", n)
	}
	w.frozen = true
	w.text[21] = letter(21)
	w.cache.Fill([]uint32{21})
	w.cache.Settle()
	if w.place[21] != 0 {
		t.Error("something was written to a frozen account")
	}
}

// What is at hand is read from no file; previews are made once they are asked for.
func TestTake(t *testing.T) {
	w := newWorld(t, 3)
	for uid, wanted := range []bool{1: false, 2: true} {
		if uid == 0 {
			continue
		}
		if !w.cache.Take(uint32(uid), []byte(w.text[uint32(uid)])) || w.reads() != 0 {
			t.Errorf("message %d was not taken", uid)
		}
		if e := w.entry(uint32(uid)); w.reads() != 0 || e.Previewed() != wanted {
			t.Errorf("message %d: previewed %v", uid, e.Previewed())
		}
		if !wanted {
			_, err := w.cache.Full(context.Background(), 3)
			must(t, err)
			w.reads()
		}
	}
	w.frozen = true
	if w.cache.Take(3, []byte(w.text[3])) {
		t.Error("something was written to a frozen account")
	}
}

func TestFillEndsWithTheCache(t *testing.T) {
	w := newWorld(t, 2000)
	w.hold = make(chan struct{})
	w.cache.Fill(w.uids())
	f := &w.cache.filler
	f.mu.Lock()
	if n := len(f.queue); n > maxQueue {
		t.Errorf("%d messages wait", n)
	}
	f.mu.Unlock()
	w.cache.Close()
	w.cache.Fill(w.uids())
	if f.running { // nobody is there to change it
		t.Error("it goes on after the end")
	}
}

// Nothing is ever synced: whatever a crash leaves is no reason to fail.
func TestCrash(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t, 300)
		must(t, w.fs.SyncDir("/box"))
		for _, uid := range w.uids() {
			w.entry(uid)
			if uid%50 == 0 {
				w.cache.Rest()
			}
		}
		w.fs = w.fs.CrashRandom(seed)
		if ok, _ := disk.Exists(w.fs, "/box"); !ok {
			must(t, disk.MkdirAll(w.fs, "/box", 0o700))
		}
		w.cache = New(w.fs, "/box", w.fakeBox, new(Memory))
		for _, uid := range []uint32{1, 150, 300} {
			root, _ := parse(t, w.text[uid])
			if e := w.entry(uid); string(e.Envelope) != string(root.Envelope) {
				t.Fatalf("seed %d: %s", seed, e.Envelope)
			}
		}
		for name, c := range queries() {
			got, _ := w.search(c.q)
			for _, uid := range got {
				if _, h := parse(t, w.text[uid]); !c.want(h) {
					t.Errorf("seed %d, %s: %d is found", seed, name, uid)
				}
			}
		}
	}
}
