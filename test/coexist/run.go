package coexist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/store/mailbox"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// Options of a run.
type Options struct {
	IMAP           string // address of the Dovecot that serves Maildir
	OurIMAP        string // address of our server that does so too; "": our store does, in this process
	POP3, OurPOP3  string // addresses of both servers' POP3; "": it is not asked
	User, Password string
	Maildir        string        // of that user; empty at the beginning
	IndexRoot      string        // ours, for the store in this process
	Operations     int           // of both sides together
	Workers        int           // on each side; 0 means 4
	RenameAfter    time.Duration // 0: renames before a change is acknowledged (shared mode); else as much later
	Seed           uint64

	// Turns, if not 0: the sides do not work at the same time, but in so many
	// turns. Dovecot begins. Release is called when our server has had its turn.
	Turns   int
	Release func(context.Context) error
}

// Report is what a run came to.
type Report struct {
	Ours, Theirs      int // operations done
	Messages          int // in the end
	Took              time.Duration
	ChangedUIDs       int // a message that had two UIDs, or a UID that had two messages
	LostFlags         int // acknowledged, and not in the file names in the end
	Acknowledged      int // flag values that were compared
	LostMessages      int
	BackFromDead      int // expunged, and there in the end
	Disagreements     int // what one of the servers shows otherwise than the other one or the file names
	LostSubscriptions int // acknowledged, and not shown in the end
	Failed            int // operations that were refused; nothing was acknowledged
	Locks             int // how often our side took dovecot-uidlist.lock
	Waited            int // how often it was held by the other side
	LockP50           time.Duration
	LockP99           time.Duration
	LockMax           time.Duration
	Examples          []string // of what must not happen, a few
	FirstFailure      string
	StoreLatencies    [3]time.Duration // median of our flag changes, p99, longest
}

// String is the report as a table.
func (r Report) String() string {
	var b strings.Builder
	for _, row := range []struct {
		name string
		v    any
	}{
		{"operations, ours", r.Ours},
		{"operations, Dovecot", r.Theirs},
		{"refused", r.Failed},
		{"took", r.Took.Round(time.Millisecond)},
		{"messages in the end", r.Messages},
		{"changed UIDs", r.ChangedUIDs},
		{"flag values compared", r.Acknowledged},
		{"lost flags", r.LostFlags},
		{"shown otherwise", r.Disagreements},
		{"lost subscriptions", r.LostSubscriptions},
		{"lost messages", r.LostMessages},
		{"back from the dead", r.BackFromDead},
		{"locks taken", r.Locks},
		{"of these waited for", r.Waited},
		{"lock wait p50 / p99 / max", fmt.Sprintf("%s / %s / %s", micro(r.LockP50), micro(r.LockP99), micro(r.LockMax))},
		{"STORE p50 / p99 / max", fmt.Sprintf("%s / %s / %s", micro(r.StoreLatencies[0]), micro(r.StoreLatencies[1]), micro(r.StoreLatencies[2]))},
	} {
		fmt.Fprintf(&b, "%-28s %v\n", row.name, row.v)
	}
	return b.String()
}

func micro(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// run is the state of one experiment.
type run struct {
	o      Options
	ledger *ledger
	locks  *lockWatcher
	store  *mailbox.Store // in this process, if it is
	acct   *mailbox.Account
	tree   *maildir.Tree // deliverd's view of the account
	stores samples
	rounds int // how often the sides were compared
}

// Run does the experiment. The error is for what kept it from being done; what
// must not happen is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Workers == 0 {
		o.Workers = 4
	}
	r := &run{o: o, ledger: newLedger(), locks: &lockWatcher{FS: disk.OS()}}
	r.tree = maildir.NewTree(disk.OS(), o.Maildir, maildir.Options{Namer: maildir.NewNamer("deliverd", os.Getpid()+1, nil)})
	if err := r.makeFolders(2 * o.Workers); err != nil {
		return Report{}, err
	}
	shut := func() error { return nil }
	if o.OurIMAP == "" {
		var err error
		if shut, err = r.openStore(ctx); err != nil {
			return Report{}, err
		}
	}
	began := time.Now()
	var err error
	if o.Turns > 0 {
		err = r.takeTurns(ctx)
	} else {
		err = r.work(ctx, o.Operations, ours, theirs)
	}
	took := time.Since(began)
	var report Report
	if err == nil {
		report, err = r.settle(ctx)
	}
	report.Took = took
	return report, errors.Join(err, shut())
}

// worker is one client of one side.
type worker interface {
	// do does one operation.
	do(ctx context.Context, rnd *rand.Rand) error
	close()
}

func (r *run) newWorker(ctx context.Context, s side, n int) (worker, error) {
	if s == ours && r.o.OurIMAP == "" {
		return r.newOurs(ctx, n)
	}
	return r.dial(s, n)
}

// work runs the workers of the sides until the operations are done.
func (r *run) work(ctx context.Context, operations int, sides ...side) error {
	var group sync.WaitGroup
	errs := make([]error, len(sides)*r.o.Workers)
	for i := range errs {
		s := sides[i%len(sides)]
		group.Go(func() {
			w, err := r.newWorker(ctx, s, i)
			if err != nil {
				errs[i] = err
				return
			}
			defer w.close()
			rnd := rand.New(rand.NewPCG(r.o.Seed, uint64(r.rounds*1000+i)))
			for range operations / len(errs) {
				if err := w.do(ctx, rnd); err != nil {
					r.ledger.failed(err)
				}
				if errs[i] = ctx.Err(); errs[i] != nil {
					return
				}
				r.ledger.done(s)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// takeTurns has one side work after the other. What one leaves is what the
// other one finds.
func (r *run) takeTurns(ctx context.Context) error {
	for turn := range r.o.Turns {
		s := side(turn%2 == 1)
		r.rounds++
		if err := r.work(ctx, r.o.Operations/r.o.Turns, s); err != nil {
			return err
		}
		left, err := r.all(s)
		if err != nil {
			return err
		}
		if err := r.pause(ctx); err != nil {
			return err
		}
		if s == ours {
			if err := r.o.Release(ctx); err != nil {
				return err
			}
		}
		found, err := r.all(!s)
		if err != nil {
			return err
		}
		when := fmt.Sprintf("turn %d", turn+1)
		r.ledger.climb(when, left, found)
		us, them := left, found
		if s == theirs {
			us, them = found, left
		} else if err := r.pause(ctx); err != nil { // Dovecot has moved messages to cur
			return err
		}
		r.ledger.agree(when, us, them)
	}
	return nil
}

// pause waits until a directory's mtime is of the past: Dovecot believes it
// when it is older than a second.
func (r *run) pause(ctx context.Context) error {
	select {
	case <-time.After(1500 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deliver is what deliverd does: a file in new/ that nobody has numbered.
func (r *run) deliver(ctx context.Context) error {
	id := r.ledger.begin()
	_, err := r.tree.Deliver(ctx, maildir.Inbox, maildir.Meta{}, strings.NewReader(letter(id)))
	if err == nil {
		r.ledger.stored(id, 0)
	}
	return err
}

// ourAccount is all that we show.
func (r *run) ourAccount(ctx context.Context) (account, error) {
	if r.acct == nil {
		return r.all(ours)
	}
	return r.inStore(ctx)
}

// settle lets both sides finish and compares.
func (r *run) settle(ctx context.Context) (Report, error) {
	if _, err := r.ourAccount(ctx); err != nil {
		return Report{}, err
	}
	if err := r.pause(ctx); err != nil {
		return Report{}, err
	}
	them, err := r.all(theirs)
	if err != nil {
		return Report{}, err
	}
	us, err := r.ourAccount(ctx)
	if err != nil {
		return Report{}, err
	}
	onDisk, err := r.files()
	if err != nil {
		return Report{}, err
	}
	r.ledger.agree("in the end", us, them)
	report := r.ledger.compare(us.messages, them.messages, onDisk)
	report.LockP50, report.LockP99, report.LockMax = r.locks.waits.figures()
	report.Locks, report.Waited = r.locks.waits.len(), r.locks.contended()
	report.StoreLatencies[0], report.StoreLatencies[1], report.StoreLatencies[2] = r.stores.figures()
	return report, nil
}

// files is what the directories and the two lists say.
func (r *run) files() (view, error) {
	f, err := r.tree.Folder(maildir.Inbox)
	if err != nil {
		return nil, err
	}
	list, err := f.UIDList()
	if err != nil {
		return nil, err
	}
	keywords, err := f.Keywords()
	if err != nil {
		return nil, err
	}
	uids := map[string]uint32{}
	for _, rec := range list.Records {
		uids[rec.Base] = rec.UID
	}
	out := view{}
	for _, p := range []maildir.Place{maildir.InNew, maildir.InCur} {
		names, _, err := f.Files(p)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			base, info := maildir.Split(name)
			text, err := os.ReadFile(filepath.Join(f.Dir(), p.Dir(), name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			s := shown{uid: uids[base], flags: flagNames(info.Flags)}
			for i := range 26 {
				if info.Letters&(1<<i) != 0 {
					s.flags[strings.ToLower(keywords.Name(i))] = true
				}
			}
			id := identify(string(text))
			out[id] = append(out[id], s)
		}
	}
	return out, nil
}

// letter is message id.
func letter(id int) string {
	return fmt.Sprintf("From: <a@b.test>\r\nSubject: id %d\r\n\r\nbody %d\r\n", id, id)
}

// identify finds the id of a message.
func identify(text string) int {
	id := -1
	if _, rest, ok := strings.Cut(text, "Subject: "); ok {
		_, _ = fmt.Sscanf(rest, "id %d", &id)
	}
	return id
}

// identifyFile reads the id from an open message.
func identifyFile(f io.ReaderAt) int {
	var head [200]byte
	n, _ := f.ReadAt(head[:], 0)
	return identify(string(head[:n]))
}
