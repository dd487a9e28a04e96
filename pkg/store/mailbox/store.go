package mailbox

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/store/cache"
	"github.com/postcote/postcote/pkg/store/maildir"
	"github.com/postcote/postcote/pkg/store/quota"
)

// Store is the mail of one process: its open accounts and its one inotify
// instance. Safe for concurrent use, as everything in this package is.
type Store struct {
	cfg     Config
	fs      disk.FS
	log     *obs.Logger
	now     func() time.Time
	namer   *maildir.Namer
	texts   maildir.Buffers
	copies  sync.Pool // of *[]byte, for what is on its way into a message
	reading cache.Memory
	watcher *maildir.Watcher // nil: poll
	claims  claims

	ctx    context.Context //nolint:containedctx // of the background work, ends with Close
	cancel context.CancelFunc
	runs   atomic.Bool

	dropped int // bytes since the last collection; Run's alone

	mu       sync.Mutex
	wg       sync.WaitGroup // background work
	stopping bool
	accounts map[string]*accountSlot
	frozen   map[string]chan struct{} // closed by the thaw
}

// accountSlot is an account that is open, being opened, or being closed.
type accountSlot struct {
	ready chan struct{} // closed when acct or err is set
	acct  *Account
	err   error
	refs  int
	idle  time.Time     // since when refs is 0
	gone  chan struct{} // closed when the account is closed; nil before that begins
}

// NewStore opens no mail. Run it with Run.
func NewStore(cfg Config) (*Store, error) {
	cfg.fill()
	if cfg.IndexRoot == "" {
		return nil, fail.New(fail.Invalid, "the mail store needs a folder for its indexes")
	}
	s := &Store{
		cfg: cfg, fs: cfg.FS, log: cfg.Log, now: cfg.Now, namer: maildir.NewNamer(cfg.Host, pid(), cfg.Now),
		accounts: map[string]*accountSlot{}, frozen: map[string]chan struct{}{},
	}
	s.claims.root = cfg.IndexRoot
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if !cfg.NoWatch {
		w, err := maildir.NewWatcher(cfg.FS)
		if err != nil {
			s.log.Warn("folders are polled for changes", obs.Err(err))
		} else {
			s.watcher = w
			s.spawn(w.Run)
		}
	}
	return s, nil
}

// spawn runs fn in the background unless the store is closing. Close waits
// for it.
func (s *Store) spawn(fn func(context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.wg.Go(func() { fn(s.ctx) })
	return true
}

func (s *Store) running() bool { return s.runs.Load() }

// janitorEvery is how often idle things are looked for.
const janitorEvery = 5 * time.Second

// Run does the work in the background (write-behind, polling, idle mailboxes)
// until ctx is done. Without it nothing is flushed before Close.
func (s *Store) Run(ctx context.Context) error {
	s.runs.Store(true)
	defer s.runs.Store(false)
	poll, janitor := time.NewTicker(s.cfg.Poll), time.NewTicker(janitorEvery)
	defer poll.Stop()
	defer janitor.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-poll.C:
			for _, a := range s.open() {
				a.poll()
			}
		case <-janitor.C:
			s.tidy()
		}
	}
}

// open returns the accounts that are open.
func (s *Store) open() []*Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Account
	for _, slot := range s.accounts {
		if slot.acct != nil && slot.gone == nil {
			out = append(out, slot.acct)
		}
	}
	return out
}

// tidy closes accounts and mailboxes that nobody has used for a while.
func (s *Store) tidy() {
	now := s.now()
	for _, a := range s.open() {
		s.dropped += a.tidy(s.ctx, now)
	}
	s.collect()
	s.mu.Lock()
	var idle []string
	for user, slot := range s.accounts {
		if slot.refs == 0 && slot.acct != nil && slot.gone == nil && now.Sub(slot.idle) >= s.cfg.Linger {
			idle = append(idle, user)
		}
	}
	s.mu.Unlock()
	for _, user := range idle {
		if err := s.closeAccount(s.ctx, user, true, nil); err != nil {
			s.log.Error("closing an account failed", obs.Err(err))
		}
	}
}

// collectAt is how much dropped memory is worth a collection.
const collectAt = 16 << 20

// collect gives what idle mailboxes have dropped back to the system. The runtime
// collects when a process allocates, which one whose clients have all gone idle
// does not do: their mailboxes would stay in memory for minutes.
func (s *Store) collect() {
	if s.dropped >= collectAt {
		s.dropped = 0
		debug.FreeOSMemory()
	}
}

// Account opens a user's mail, or joins those who have it open; Close it once
// for each call. Creates the INBOX and the configured automatic folders.
// Kinds: Exists (another process owns the account; the text says which),
// Denied, NotFound (no such home), Full.
func (s *Store) Account(ctx context.Context, cfg AccountConfig) (*Account, error) {
	for {
		s.mu.Lock()
		if s.stopping {
			s.mu.Unlock()
			return nil, fail.New(fail.Unavailable, "the mail store is closing")
		}
		slot, wait := s.accounts[cfg.User], s.frozen[cfg.User]
		switch {
		case slot != nil && slot.gone != nil:
			wait = slot.gone
		case slot != nil:
			slot.refs++
			s.mu.Unlock()
			return s.join(ctx, cfg.User, slot)
		case wait == nil:
			slot = &accountSlot{ready: make(chan struct{}), refs: 1}
			s.accounts[cfg.User] = slot
			s.mu.Unlock()
			acct, err := s.openAccount(ctx, cfg)
			s.mu.Lock()
			slot.acct, slot.err = acct, err
			s.mu.Unlock()
			close(slot.ready)
			return s.join(ctx, cfg.User, slot)
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fail.Wrap(fail.Unavailable, ctx.Err(), "waiting for account %s", cfg.User)
		}
	}
}

// join waits until a slot is ready.
func (s *Store) join(ctx context.Context, user string, slot *accountSlot) (*Account, error) {
	select {
	case <-slot.ready:
	case <-ctx.Done():
		s.leave(user, slot)
		return nil, fail.Wrap(fail.Unavailable, ctx.Err(), "opening account %s", user)
	}
	if slot.err == nil {
		return slot.acct, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accounts[user] == slot {
		delete(s.accounts, user)
	}
	return nil, slot.err
}

// leave gives up a reference.
func (s *Store) leave(user string, slot *accountSlot) {
	s.mu.Lock()
	slot.refs--
	slot.idle = s.now()
	last := slot.refs == 0 && s.accounts[user] == slot && slot.gone == nil
	s.mu.Unlock()
	if last && !s.running() {
		if err := s.closeAccount(s.ctx, user, true, nil); err != nil {
			s.log.Error("closing an account failed", obs.Err(err))
		}
	}
}

// closeAccount flushes and closes an account, when nobody uses it or in any
// case; why is what its users are told.
func (s *Store) closeAccount(ctx context.Context, user string, onlyIdle bool, why error) error {
	s.mu.Lock()
	slot := s.accounts[user]
	if slot == nil || slot.gone != nil || onlyIdle && slot.refs > 0 {
		s.mu.Unlock()
		return nil
	}
	slot.gone = make(chan struct{})
	s.mu.Unlock()
	<-slot.ready
	var err error
	if slot.acct != nil {
		if why == nil {
			why = fail.New(fail.Unavailable, "account %s is closed", user)
		}
		err = slot.acct.shut(ctx, why)
	}
	s.mu.Lock()
	if s.accounts[user] == slot {
		delete(s.accounts, user)
	}
	s.mu.Unlock()
	close(slot.gone)
	return err
}

// account returns a user's open account without taking a reference.
func (s *Store) account(user string) *Account {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot := s.accounts[user]; slot != nil && slot.gone == nil {
		return slot.acct
	}
	return nil
}

// Hint tells of a delivery by another process. It does nothing when the
// account or the folder is not open. It never blocks.
func (s *Store) Hint(user string, h Hint) {
	if a := s.account(user); a != nil {
		a.hint(h)
	}
}

// Release flushes the user's mailboxes and gives the account up, so that
// another server may take over: a Dovecot counts on above our MODSEQs.
// Sessions that are still there get Unavailable from then on. It does nothing
// when the account is not open.
func (s *Store) Release(ctx context.Context, user string) error {
	if a := s.account(user); a != nil {
		a.mu.Lock()
		a.released = true
		a.mu.Unlock()
	}
	return s.closeAccount(ctx, user, false, fail.New(fail.Unavailable, "account %s was released to another server", user))
}

// Freeze flushes the user's mailboxes and stops writing until thaw is called,
// for backups. Operations that change something wait, and so do logins when
// the account is not open.
func (s *Store) Freeze(ctx context.Context, user string) (thaw func(), err error) {
	s.mu.Lock()
	if s.frozen[user] != nil {
		s.mu.Unlock()
		return nil, fail.New(fail.Exists, "account %s is frozen already", user)
	}
	wait := make(chan struct{})
	s.frozen[user] = wait
	slot := s.accounts[user]
	s.mu.Unlock()
	var a *Account
	if slot != nil {
		<-slot.ready
		a = slot.acct
	}
	end := func() {
		s.mu.Lock()
		delete(s.frozen, user)
		s.mu.Unlock()
		close(wait)
	}
	if a == nil {
		return sync.OnceFunc(end), nil
	}
	if err := a.freezeAll(ctx); err != nil {
		end()
		return nil, err
	}
	return sync.OnceFunc(func() { a.thaw(); end() }), nil
}

// Accounts lists the users whose accounts are open.
func (s *Store) Accounts() []string {
	var out []string
	for _, a := range s.open() {
		out = append(out, a.User())
	}
	slices.Sort(out)
	return out
}

// Close flushes and closes everything. The error joins what could not be
// flushed; it stays in the logs and is flushed at the next start.
func (s *Store) Close(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	var users []string
	for user := range s.accounts {
		users = append(users, user)
	}
	s.mu.Unlock()
	var errs []error
	for _, user := range users {
		errs = append(errs, s.closeAccount(ctx, user, false, nil))
	}
	s.cancel()
	s.wg.Wait()
	return errors.Join(append(errs, s.claims.close())...)
}

// claims are the locks of accounts. Each is a byte of one of a few files, so
// that an open account has no descriptor of its own; a few, because the kernel
// looks through all locks of a file.
type claims struct {
	root string

	mu    sync.Mutex
	files [64]disk.File // opened when they are first needed
}

// claim is one account's lock.
type claim struct {
	file disk.File
	at   int64
}

// take locks an account, or fails with disk.ErrLocked.
func (c *claims) take(fsys disk.FS, user string) (claim, error) {
	sum := sha256.Sum256([]byte(user)) // two users on one byte would lock each other out
	n := int(sum[0]) % len(c.files)
	f, err := c.file(fsys, n)
	if err != nil {
		return claim{}, err
	}
	at := claim{f, int64(binary.LittleEndian.Uint64(sum[1:]) >> 2)}
	return at, disk.TryLockByte(f, at.at)
}

func (c *claims) file(fsys disk.FS, n int) (disk.File, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[n] != nil {
		return c.files[n], nil
	}
	dir := filepath.Join(c.root, ".locks") // no user's folder has such a name
	if err := disk.MkdirAll(fsys, dir, os.ModeSetgid|0o770); err != nil {
		return nil, err
	}
	f, err := fsys.OpenFile(filepath.Join(dir, fmt.Sprintf("%02x", n)), os.O_RDWR|os.O_CREATE, 0o660)
	if err == nil {
		c.files[n] = f
	}
	return f, err
}

func (c *claims) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for i, f := range c.files {
		if f != nil {
			errs = append(errs, f.Close())
			c.files[i] = nil
		}
	}
	return errors.Join(errs...)
}

func (c claim) release() error { return disk.UnlockByte(c.file, c.at) }

// Hint is what deliverd says of a delivery. Nothing of it is believed: it only
// says where to look.
type Hint struct {
	Folder string // folder name with the account's separator
	File   string // base name of the message
	Size   int64
	VSize  int64
}

// Mode says who else may write the mail store at the same time.
type Mode uint8

// The two modes of docs/formats/index.md.
const (
	// Exclusive: this process and deliverd only. Flag changes are durable in
	// our log when acknowledged and reach file names within two seconds.
	Exclusive Mode = iota
	// Shared: Dovecot, mutt or another program writes too. Each change locks
	// the UID list and renames files before it is acknowledged.
	Shared
)

// Config is what a Store needs. Zero fields have working defaults.
type Config struct {
	FS        disk.FS // nil means disk.OS()
	IndexRoot string  // our own tree; must not lie inside a Maildir
	Now       func() time.Time
	Host      string // in file names; empty means the machine's name
	Log       *obs.Logger
	Poll      time.Duration // how often to look where inotify is blind; 0 means 5 s
	FlushIn   time.Duration // write-behind delay; 0 means 1 s (the promise is 2 s)
	Linger    time.Duration // how long an account without sessions stays open; 0 means 30 s
	NoWatch   bool          // never use inotify
	Warner    *quota.Warner // gives the accounts' warnings; nil: nobody does
}

func (c *Config) fill() {
	if c.FS == nil {
		c.FS = disk.OS()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = obs.Discard()
	}
	if c.Poll <= 0 {
		c.Poll = 5 * time.Second
	}
	if c.FlushIn <= 0 {
		c.FlushIn = time.Second
	}
	if c.Linger <= 0 {
		c.Linger = 30 * time.Second
	}
}

// AccountConfig describes one user's mail.
type AccountConfig struct {
	User      string // the name authd gave; also names the index folder
	Maildir   string // root of the tree of Maildirs, absolute
	Layout    maildir.Layout
	Pinned    bool // the Maildir may be on a network file system: no other machine uses it
	Mode      Mode
	Separator byte // hierarchy separator; 0 means the layout's
	Folders   []FolderConfig
	Quota     quota.Rules // none: nothing is limited
	MaxMail   int64       // bytes of the largest message; 0 for no limit
	Warnings  []quota.Warning
}

// FolderConfig is a folder that an account should have.
type FolderConfig struct {
	Name       string
	SpecialUse string // "\\Sent" …, or empty
	Auto       Auto
}

// Auto says what happens to a configured folder at first login.
type Auto uint8

// Values of Auto.
const (
	AutoNo Auto = iota
	AutoCreate
	AutoSubscribe // create and subscribe
)

// DefaultFolders are Drafts, Sent, Junk, Trash and Archive with their special
// uses and the given Auto.
func DefaultFolders(auto Auto) []FolderConfig {
	return []FolderConfig{
		{Name: "Drafts", SpecialUse: `\Drafts`, Auto: auto},
		{Name: "Sent", SpecialUse: `\Sent`, Auto: auto},
		{Name: "Junk", SpecialUse: `\Junk`, Auto: auto},
		{Name: "Trash", SpecialUse: `\Trash`, Auto: auto},
		{Name: "Archive", SpecialUse: `\Archive`, Auto: auto},
	}
}
