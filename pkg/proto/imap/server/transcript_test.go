package server

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/imap/wire/wiretest"
)

// simple is the message that "! deliver" puts into a mailbox.
const simple = "From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: Gr=?utf-8?q?=C3=BC?=\u00dfe\r\n" +
	"Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nMessage-ID: <m1@example.org>\r\n\r\nHello, W\u00f6rld.\r\nSecond line.\r\n"

// world is what the events of a transcript act on.
type world struct {
	t       *testing.T
	account *fakeAccount
	srv     *Server
	ctx     context.Context
	stop    context.CancelFunc
	start   Start
	dialled int
}

func newWorld(t *testing.T, cfg Config) *world {
	w := &world{t: t, account: newFakeAccount("Sent", "Trash"), srv: New(cfg)}
	w.ctx, w.stop = context.WithCancel(context.Background())
	t.Cleanup(w.stop)
	w.start = Start{Tag: "a0", Account: w.account, Delim: '.'}
	return w
}

// dial starts a session and returns the client's end of it.
func (w *world) dial() net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan Summary, 1)
	w.dialled++
	ctx := context.WithValue(w.ctx, fakeActor{}, w.dialled)
	go func() {
		sum := w.srv.Serve(ctx, conn, w.start)
		_ = conn.Close()
		done <- sum
	}()
	w.t.Cleanup(func() {
		_ = client.Close()
		w.stop()
		sum := <-done
		if f, isFault := sum.Err.(*Fault); isFault && !strings.Contains(w.t.Name(), "panic") {
			w.t.Errorf("%v\n%s", f.Value, f.Stack)
		}
	})
	return client
}

func TestTranscripts(t *testing.T) { transcripts(t, nil) }

// Nothing is different for a client whose session is parked whenever it can be.
func TestTranscriptsParked(t *testing.T) {
	lot, err := netx.NewLot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := lot.Parked(); n > 0 {
			t.Errorf("%d sessions are still parked", n)
		}
		_ = lot.Close()
	})
	transcripts(t, lot)
}

func transcripts(t *testing.T, lot *netx.Lot) {
	wiretest.Dir(t, "testdata/*.txt", func(t *testing.T, name string) *wiretest.Script {
		cfg := Config{ID: [][2]string{{"name", "Postcote"}}, MaxMessage: 1 << 20, Lot: lot}
		switch name {
		case "idle_keepalive":
			cfg.Keepalive = 30 * time.Millisecond
		case "inactive":
			cfg.IdleTimeout = 30 * time.Millisecond
		case "append_limit":
			cfg.MaxMessage = 20
		}
		if workaround, is := strings.CutPrefix(name, "workaround_"); is {
			cfg.Workarounds = Workarounds()[workaround]
		}
		cfg.LiteralMinus = name == "literal_minus"
		cfg.UTF8 = strings.HasPrefix(name, "utf8")
		cfg.Now = func() time.Time { return newFakeAccount().now }
		if name != "objectid" { // or every SELECT would have a line more
			cfg.Without = append(cfg.Without, "OBJECTID")
		}
		w := newWorld(t, cfg)
		if name == "inprogress" {
			w.srv.tellEvery = 0
		}
		if !strings.HasPrefix(name, "overlap") { // a command may be slow on a busy machine, and is not overtaken
			w.srv.watch.patience = time.Hour
		}
		w.srv.parkAfter = time.Millisecond
		w.start.Shared = name == "condstore_shared"
		if name == "quota" {
			w.start.Account = limitedAccount{w.account}
		}
		if strings.HasPrefix(name, "rev2") { // whatever it still lacks
			for i := range w.srv.caps {
				if w.srv.caps[i].name == "IMAP4rev2" {
					w.srv.caps[i].needs = ""
				}
			}
		}
		return &wiretest.Script{Dial: func(int) net.Conn { return w.dial() }, Event: w.event}
	})
}

// limitedAccount has the quota roots of RFC 9208's examples, which count
// everything but Trash.
type limitedAccount struct{ *fakeAccount }

func (limitedAccount) QuotaRoots(_ context.Context, mailbox string) ([]QuotaRoot, error) {
	if mailbox == "Trash" {
		return nil, nil
	}
	return []QuotaRoot{
		{Name: "#user/alice", Resources: []QuotaResource{
			{Type: imap.QuotaResourceMessage, Usage: 42, Limit: 1000},
			{Type: imap.QuotaResourceStorage, Usage: 54, Limit: 111},
		}},
		{Name: "!partition/sda4", Resources: []QuotaResource{{Type: imap.QuotaResourceStorage, Usage: 104, Limit: 10923847}}},
	}, nil
}

func (limitedAccount) DeletedSize(context.Context, string) (int64, error) { return 8, nil }

// gateEvent: hold OP keeps operations of the account waiting, reached OP waits
// for one to be there, let OP ends it; panics OP makes one fail badly.
func (w *world) gateEvent(words []string) (done bool, err error) {
	op := strings.Join(words[1:], " ")
	switch words[0] {
	case "hold":
		w.account.hold(op)
	case "let":
		w.account.let(op)
	case "panics":
		w.account.hold(op)
		w.account.gate(op).fault = true
	case "reached":
		select {
		case <-w.account.gate(op).reached:
		case <-time.After(30 * time.Second):
			return true, fail.New(fail.Temporary, "nobody has reached %s", op)
		}
	default:
		return false, nil
	}
	return true, nil
}

// event is something that happens to the mailbox outside of the sessions of a
// transcript.
func (w *world) event(words []string) error {
	a := w.account
	if words[0] == "stop" {
		w.stop()
		return nil
	}
	if done, err := w.gateEvent(words); done {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var b *fakeBox
	if len(words) > 1 && !strings.HasSuffix(words[0], "subscribe") && words[0] != "burst" {
		if b = a.boxes[words[1]]; b == nil {
			b = a.add(words[1])
		}
	}
	num := func(i int) uint32 {
		n, _ := strconv.ParseUint(words[i], 10, 32)
		return uint32(n)
	}
	switch words[0] {
	case "create":
	case "deliver": // deliver BOX [count]
		n := uint32(1)
		if len(words) > 2 {
			n = num(2)
		}
		for range n {
			b.deliver(simple, a.now, Row{})
		}
	case "message": // message BOX text with \r\n spelled out
		text, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.Join(words[2:], " "), `"`, `\"`) + `"`)
		if err != nil {
			return err
		}
		b.deliver(text, a.now, Row{})
	case "flag": // flag BOX uid flags
		rows := append([]Row(nil), b.cur.rows...)
		for i := range rows {
			if rows[i].UID == num(2) {
				var flags []imap.Flag
				for _, f := range words[3:] {
					flags = append(flags, imap.Flag(f))
				}
				rows[i] = apply(rows[i], imap.StoreFlagsSet, flags)
			}
		}
		b.update(rows)
	case "aged": // aged BOX uid seconds: it arrived that long ago
		rows := append([]Row(nil), b.cur.rows...)
		for i := range rows {
			if rows[i].UID == num(2) {
				rows[i].Date = a.now.Add(-time.Duration(num(3)) * time.Second)
			}
		}
		b.update(rows)
	case "expunge": // expunge BOX uid ...
		rows := slices.DeleteFunc(slices.Clone(b.cur.rows), func(r Row) bool {
			return slices.Contains(words[2:], strconv.Itoa(int(r.UID)))
		})
		b.update(rows)
		for i := range words[2:] {
			delete(b.data, num(2+i))
		}
	case "claim": // claim BOX: no message is \Recent for those who come
		b.claimed = b.next
		b.update(b.cur.rows)
	case "modseq": // modseq BOX n: the next change has the MODSEQ n+1
		b.modseq, _ = strconv.ParseUint(words[2], 10, 64)
	case "forget": // forget BOX: which messages were expunged before now
		b.gone, b.since = nil, b.modseq
		b.update(b.cur.rows)
	case "lose": // lose BOX uid: the file is gone, the row is not
		delete(b.data, num(2))
	case "use": // use BOX \Sent
		a.use[imap.MailboxAttr(words[2])] = words[1]
	case "subscribe", "unsubscribe":
		a.subscribe(words[1], words[0] == "subscribe")
	case "burst": // burst n: so many changes of mailboxes
		for i := range num(1) {
			a.emit(MailboxCreated, strconv.Itoa(int(i)), "")
		}
	case "rename":
		return a.rename(words[1], words[2])
	case "delete":
		delete(a.boxes, words[1])
		a.emit(MailboxDeleted, words[1], "")
		b.dead = fail.New(fail.NotFound, "deleted")
		b.changed()
	case "release":
		b.dead = fail.New(fail.Unavailable, "released")
		b.changed()
	case "fault":
		a.fault = fail.New(fail.Temporary, "disk on fire at /var/mail")
	case "outage":
		a.fault = fail.New(fail.Unavailable, "given up")
	case "full":
		a.fault = fail.New(fail.Full, "quota exceeded")
	case "works":
		a.fault = nil
	default:
		return fail.New(fail.Invalid, "no event %s", words[0])
	}
	return nil
}
