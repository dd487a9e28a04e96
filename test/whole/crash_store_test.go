package whole

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-smtp"

	"github.com/postcote/postcote/test/suite"
)

// deliverd and imapd's session role are killed at random moments, while they
// start too, under deliveries and under clients that append, change flags,
// expunge and move. Nothing that was acknowledged is lost or comes back, flags are
// as they were acknowledged, no UID is ever of two messages, and no message is
// there in part.
func TestKillStoreAtRandomMoments(t *testing.T) {
	s := prepared(t, suite.Options{Edit: map[string]func(string) string{
		"imapd": func(text string) string { return text + "limits: {per_user_and_address: 0}\n" },
	}})
	for _, name := range []string{"authd", "deliverd", "imapd", "imapd-login"} {
		begin(t, s.Procs[name])
	}
	c := &storeCrowd{s: s, ledger: newMailLedger(t)}
	c.prepare(t)
	c.start(t)
	moments := crashMoments()
	for i := range moments {
		victim := s.Procs[[]string{"imapd", "imapd", "deliverd"}[rand.IntN(3)]]
		victim.Kill()
		live(t, victim, &c.done, 60)
		begin(t, victim)
		if i%5 == 4 || i == moments-1 {
			c.check(t, fmt.Sprintf("after kill %d", i+1))
		}
		if t.Failed() {
			break
		}
	}
	c.stop.Store(true)
	c.wg.Wait()
	c.check(t, "in the end")
	t.Logf("%d kills, %d commands and deliveries; %s", moments, c.done.Load(), c.ledger)
	if int(c.done.Load()) < moments {
		t.Error("so little was done that the test shows nothing")
	}
}

// storeCrowd works on one user's mail.
type storeCrowd struct {
	s      *suite.Suite
	ledger *mailLedger
	stop   atomic.Bool
	done   atomic.Int64 // commands and deliveries that were acknowledged
	pause  sync.RWMutex // held by a check, and shared by each command
	wg     sync.WaitGroup
}

const storeWorkers = 4

func (c *storeCrowd) start(t *testing.T) {
	for w := range storeWorkers + 1 {
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			for !c.stop.Load() {
				if w == storeWorkers {
					c.deliveries()
					continue
				}
				c.session(w)
			}
		}()
	}
	t.Cleanup(func() { c.stop.Store(true) })
}

// turn does one thing while no check runs; false: the server is gone.
func (c *storeCrowd) turn(do func() error) bool {
	c.pause.RLock()
	defer c.pause.RUnlock()
	if do() != nil {
		return false
	}
	c.done.Add(1)
	return true
}

// deliveries delivers until deliverd is gone. Messages that arrive this way
// belong to one of the workers from the next check on, which learns their UIDs.
func (c *storeCrowd) deliveries() {
	conn, err := net.Dial("unix", c.s.Path("run/deliverd/lmtp"))
	if err != nil {
		return
	}
	l := smtp.NewClientLMTP(conn)
	defer l.Close()
	l.CommandTimeout, l.SubmissionTimeout = patience, patience
	for !c.stop.Load() && c.turn(func() error {
		k := c.ledger.add(rand.IntN(storeWorkers), folders()[0])
		err := l.SendMail("x@elsewhere.test", []string{c.s.Accounts[0].Name}, strings.NewReader(numberedText(k.n, storeSize(k.n))))
		if err == nil {
			c.ledger.sure(k, folders()[0], yes, 0)
		}
		return err
	}) {
	}
}

func storeSize(n int) int { return 300 + n%7*400 }

// connect opens a folder; nil when imapd is not there.
func (c *storeCrowd) connect(folder string) *imapclient.Client {
	a := c.s.Accounts[0]
	i, err := imapclient.DialInsecure(c.s.Addr(143), nil)
	if err != nil {
		return nil
	}
	if err = i.Login(a.Name, a.Password).Wait(); err == nil && folder != "" {
		_, err = i.Select(folder, nil).Wait()
	}
	if err != nil {
		_ = i.Close()
		return nil
	}
	return i
}

func (c *storeCrowd) prepare(t *testing.T) {
	t.Helper()
	i := c.connect("")
	if i == nil {
		t.Fatal("no login")
	}
	defer i.Close()
	if err := i.Create(folders()[1], nil).Wait(); err != nil {
		t.Fatal(err)
	}
}

// session works in one folder until imapd is gone, or for a while.
func (c *storeCrowd) session(worker int) {
	which := rand.IntN(len(folders()))
	w := &storeWorker{storeCrowd: c, id: worker, here: folders()[which], there: folders()[1-which]}
	if !c.turn(func() error {
		if w.c = c.connect(w.here); w.c == nil {
			return net.ErrClosed
		}
		return nil
	}) {
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond) // no storm of logins
		return
	}
	defer w.c.Close()
	for range 40 {
		if c.stop.Load() || !c.turn(w.command) {
			return
		}
	}
}

// storeWorker is one session.
type storeWorker struct {
	*storeCrowd
	id          int
	here, there string
	c           *imapclient.Client
}

// command does one thing. What the ledger says of it is open while it runs.
func (w *storeWorker) command() error {
	n := rand.IntN(100)
	k := w.ledger.pick(w.id, w.here)
	switch {
	case k == nil || n < 25:
		return w.append()
	case n < 65:
		return w.store(k)
	case n < 80:
		return w.expunge(k)
	case n < 95:
		return w.move(k)
	}
	return w.c.Noop().Wait()
}

func (w *storeWorker) append() error {
	k := w.ledger.add(w.id, w.here)
	f := trials()[rand.IntN(len(trials()))]
	w.ledger.flag(k, w.here, f, yes) // there is no message without it
	text := numberedText(k.n, storeSize(k.n))
	cmd := w.c.Append(w.here, int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{f}})
	_, _ = cmd.Write([]byte(text)) // an error shows in Wait
	_ = cmd.Close()
	data, err := cmd.Wait()
	if err == nil {
		w.ledger.sure(k, w.here, yes, uint32(data.UID))
	}
	return err
}

func (w *storeWorker) set(k *kept, op imap.StoreFlagsOp, f imap.Flag) error {
	_, err := w.c.Store(w.uids(k), &imap.StoreFlags{Op: op, Silent: true, Flags: []imap.Flag{f}}, nil).Collect()
	return err
}

func (w *storeWorker) uids(k *kept) imap.UIDSet { return imap.UIDSetNum(imap.UID(k.uid[w.here])) }

func (w *storeWorker) store(k *kept) error {
	f := trials()[rand.IntN(len(trials()))]
	op, is := imap.StoreFlagsAdd, yes
	if rand.IntN(2) == 0 {
		op, is = imap.StoreFlagsDel, no
	}
	if k.flags[w.here][lowerFlag(f)] == is {
		return w.set(k, op, f)
	}
	w.ledger.flag(k, w.here, f, open)
	err := w.set(k, op, f)
	if err == nil {
		w.ledger.flag(k, w.here, f, is)
	}
	return err
}

func (w *storeWorker) expunge(k *kept) error {
	if err := w.set(k, imap.StoreFlagsAdd, imap.FlagDeleted); err != nil {
		return err
	}
	set := w.uids(k)
	w.ledger.sure(k, w.here, open, 0)
	_, err := w.c.UIDExpunge(set).Collect()
	if err == nil {
		w.ledger.sure(k, w.here, no, 0)
	}
	return err
}

func (w *storeWorker) move(k *kept) error {
	if k.in[w.there] != no { // a MOVE that was cut off has left both
		return w.expunge(k)
	}
	set := w.uids(k)
	w.ledger.moves(k, w.here, w.there)
	data, err := w.c.Move(set, w.there).Wait()
	if err != nil {
		return err
	}
	to, ok := data.DestUIDs.(imap.UIDSet)
	if !ok {
		return fmt.Errorf("no COPYUID for message %d", k.n)
	}
	nums, _ := to.Nums()
	if len(nums) != 1 {
		return fmt.Errorf("COPYUID %v for message %d", to, k.n)
	}
	w.ledger.sure(k, w.here, no, 0)
	w.ledger.sure(k, w.there, yes, uint32(nums[0]))
	return nil
}

// check compares all that a new session shows, while everybody else waits, and
// keeps the folders small.
func (c *storeCrowd) check(t *testing.T, when string) {
	t.Helper()
	c.pause.Lock()
	defer c.pause.Unlock()
	var all []shownFolder
	for _, folder := range folders() {
		i := c.connect(folder)
		if i == nil {
			t.Fatalf("%s: %s cannot be opened", when, folder)
		}
		f, err := look(i, folder)
		_ = i.Close()
		if err != nil {
			t.Fatalf("%s: %s: %v", when, folder, err)
		}
		all = append(all, f)
	}
	c.ledger.settle(when, all)
}

// look reads a folder.
func look(i *imapclient.Client, folder string) (shownFolder, error) {
	f := shownFolder{name: folder}
	status, err := i.Status(folder, &imap.StatusOptions{UIDValidity: true, UIDNext: true, NumMessages: true}).Wait()
	if err != nil {
		return f, err
	}
	f.validity, f.next = status.UIDValidity, uint32(status.UIDNext)
	if *status.NumMessages == 0 {
		return f, nil
	}
	var set imap.SeqSet
	set.AddRange(1, 0)
	body := &imap.FetchItemBodySection{Peek: true}
	got, err := i.Fetch(set, &imap.FetchOptions{UID: true, Flags: true, Envelope: true, BodySection: []*imap.FetchItemBodySection{body}}).Collect()
	for _, x := range got {
		if x.Envelope == nil {
			continue
		}
		n, _ := strconv.Atoi(x.Envelope.Subject)
		m := shownMessage{n: n, uid: uint32(x.UID), flags: map[string]bool{}, whole: whole(string(x.FindBodySection(body)), n, storeSize(n))}
		for _, flag := range x.Flags {
			m.flags[lowerFlag(flag)] = true
		}
		f.messages = append(f.messages, m)
	}
	return f, err
}
