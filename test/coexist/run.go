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
	User, Password string
	Maildir        string        // of that user; empty at the beginning
	IndexRoot      string        // ours
	Operations     int           // of both sides together
	Workers        int           // on each side; 0 means 4
	RenameAfter    time.Duration // 0: renames before a change is acknowledged (shared mode); else as much later
	Seed           uint64
}

// Report is what a run came to.
type Report struct {
	Ours, Theirs   int // operations done
	Messages       int // in the end
	Took           time.Duration
	ChangedUIDs    int // a message that had two UIDs, or a UID that had two messages
	LostFlags      int // acknowledged, and not in the file names in the end
	Acknowledged   int // flag values that were compared
	LostMessages   int
	BackFromDead   int // expunged, and there in the end
	Disagreements  int // flags that one of the servers shows otherwise than the file names
	Failed         int // operations that were refused; nothing was acknowledged
	Locks          int // how often our side took dovecot-uidlist.lock
	Waited         int // how often it was held by the other side
	LockP50        time.Duration
	LockP99        time.Duration
	LockMax        time.Duration
	Examples       []string // of what must not happen, a few
	FirstFailure   string
	StoreLatencies [3]time.Duration // median of our flag changes, p99, longest
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
	store  *mailbox.Store
	acct   *mailbox.Account
	tree   *maildir.Tree // deliverd's view of the account
	stores samples
}

// Run does the experiment. The error is for what kept it from being done; what
// must not happen is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Workers == 0 {
		o.Workers = 4
	}
	r := &run{o: o, ledger: newLedger(), locks: &lockWatcher{FS: disk.OS()}}
	mode := mailbox.Shared
	if o.RenameAfter > 0 {
		mode = mailbox.Exclusive
	}
	var err error
	if r.store, err = mailbox.NewStore(mailbox.Config{FS: r.locks, IndexRoot: o.IndexRoot, FlushIn: o.RenameAfter}); err != nil {
		return Report{}, err
	}
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() { _ = r.store.Run(ctx) })
	defer func() { stop(); background.Wait() }()
	r.tree = maildir.NewTree(disk.OS(), o.Maildir, maildir.Options{Namer: maildir.NewNamer("deliverd", os.Getpid()+1, nil)})
	if r.acct, err = r.store.Account(ctx, mailbox.AccountConfig{User: o.User, Maildir: o.Maildir, Mode: mode}); err != nil {
		return Report{}, err
	}
	began := time.Now()
	err = r.work(ctx)
	took := time.Since(began)
	var report Report
	if err == nil {
		report, err = r.settle(ctx)
	}
	report.Took = took
	return report, errors.Join(err, r.acct.Close(), r.store.Close(ctx))
}

// worker is one client of one side.
type worker interface {
	// do does one operation.
	do(ctx context.Context, rnd *rand.Rand) error
	close()
}

// work runs all workers until the operations are done.
func (r *run) work(ctx context.Context) error {
	var group sync.WaitGroup
	errs := make([]error, 2*r.o.Workers)
	each := r.o.Operations / len(errs)
	for i := range errs {
		make := r.newOurs
		if i%2 == 1 {
			make = r.newTheirs
		}
		group.Go(func() {
			w, err := make(ctx)
			if err != nil {
				errs[i] = err
				return
			}
			defer w.close()
			rnd := rand.New(rand.NewPCG(r.o.Seed, uint64(i)))
			for range each {
				if err := w.do(ctx, rnd); err != nil {
					r.ledger.failed(err)
				}
				if errs[i] = ctx.Err(); errs[i] != nil {
					return
				}
				r.ledger.done(i%2 == 0)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// settle lets both sides finish and compares.
func (r *run) settle(ctx context.Context) (Report, error) {
	m, err := r.acct.Open(ctx, maildir.Inbox)
	if err != nil {
		return Report{}, err
	}
	defer m.Close()
	if err := errors.Join(m.Sync(ctx), m.Flush(ctx)); err != nil {
		return Report{}, err
	}
	// Dovecot believes a directory's mtime when it is older than a second.
	select {
	case <-time.After(1500 * time.Millisecond):
	case <-ctx.Done():
	}
	theirs, err := r.theirView(ctx)
	if err != nil {
		return Report{}, err
	}
	if err := m.Sync(ctx); err != nil {
		return Report{}, err
	}
	ours, err := r.ourView(ctx, m)
	if err != nil {
		return Report{}, err
	}
	onDisk, err := r.files()
	if err != nil {
		return Report{}, err
	}
	report := r.ledger.compare(ours, theirs, onDisk)
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
