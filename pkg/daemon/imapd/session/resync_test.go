package session

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/netx"
	"github.com/postcote/postcote/pkg/proto/imap/server"
	"github.com/postcote/postcote/pkg/store/mailbox"
	"github.com/postcote/postcote/pkg/store/maildir"
)

// house is an account of the real store in memory, with an engine in front.
type house struct {
	fs    *disk.Forgetful
	clock atomic.Int64
	store *mailbox.Store
	acct  *mailbox.Account
	srv   *server.Server
	tree  *maildir.Tree // as other programs see it

	crashed bool
}

func newHouse() (*house, error) {
	h := &house{fs: disk.NewForgetful(), srv: server.New(server.Config{MaxBad: 1000})}
	return h, h.open(h.fs)
}

func (h *house) now() time.Time { return time.Unix(1_800_000_000, h.clock.Add(1000)).UTC() }

func (h *house) open(fsys *disk.Forgetful) error {
	h.fs = fsys
	fsys.SetNow(h.now)
	var err error
	h.store, err = mailbox.NewStore(mailbox.Config{FS: fsys, IndexRoot: "/index", Host: "imapd", NoWatch: true, Now: h.now})
	if err != nil {
		return err
	}
	h.tree = maildir.NewTree(fsys, "/home/Maildir", maildir.Options{Namer: maildir.NewNamer("deliverd", 2, h.now), Now: h.now})
	h.acct, err = h.store.Account(context.Background(), mailbox.AccountConfig{User: "joe", Maildir: "/home/Maildir"})
	return err
}

// dial starts a session.
func (h *house) dial() (net.Conn, error) {
	ours, theirs, err := netx.SocketPair()
	if err != nil {
		return nil, err
	}
	conn, err := net.FileConn(theirs)
	_ = theirs.Close()
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	acct := h.acct
	go func() {
		defer ours.Close()
		h.srv.Serve(context.Background(), ours, server.Start{Tag: "a0", Account: imapAccount{Account: acct, scans: new(sync.Pool)}, Delim: '.'})
	}()
	return conn, nil
}

// nomad is a mail client that keeps a copy of INBOX and brings it up to date
// by QRESYNC as RFC 7162 section 6 says.
type nomad struct {
	h    *house
	conn net.Conn
	r    *bufio.Reader
	tag  int

	validity uint32
	high     uint64
	flags    map[uint32]string // its copy
	upTo     uint32            // the UID up to which it has asked for all
	list     []uint32          // UIDs by message number; 0 for those that it does not know yet

	plain bool     // it knows no QRESYNC
	kept  []string // untagged lines of the last answer
	heard uint64   // highest MODSEQ since the last tagged answer
	told  uint64   // HIGHESTMODSEQ since
	apply func(string) string
}

var (
	fetchLine  = regexp.MustCompile(`^\* (\d+) FETCH \((.*)\)$`)
	uidItem    = regexp.MustCompile(`\bUID (\d+)`)
	flagsItem  = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	modseqItem = regexp.MustCompile(`MODSEQ \((\d+)\)`)
	literal    = regexp.MustCompile(`\{(\d+)\}$`)
	codeHigh   = regexp.MustCompile(`\[HIGHESTMODSEQ (\d+)\]`)
	codeValid  = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	vanished   = regexp.MustCompile(`^\* VANISHED (\(EARLIER\) )?([0-9,:]+)$`)
	expunged   = regexp.MustCompile(`^\* (\d+) EXPUNGE$`)
	exists     = regexp.MustCompile(`^\* (\d+) EXISTS$`)
)

// tidy is a list of flags to compare.
func tidy(flags string) string {
	f := slices.DeleteFunc(strings.Fields(flags), func(s string) bool { return s == `\Recent` })
	slices.Sort(f)
	return strings.Join(slices.Compact(f), " ")
}

func atou(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// take learns from an untagged line.
func (c *nomad) take(line string) error {
	if m := codeHigh.FindStringSubmatch(line); m != nil {
		c.told = atou(m[1])
	}
	if m := codeValid.FindStringSubmatch(line); m != nil {
		c.validity = uint32(atou(m[1]))
	}
	switch {
	case c.plain && expunged.MatchString(line):
		n := int(atou(expunged.FindStringSubmatch(line)[1]))
		if n < 1 || n > len(c.list) {
			return fmt.Errorf("%s of %d messages", line, len(c.list))
		}
		delete(c.flags, c.list[n-1])
		c.list = slices.Delete(c.list, n-1, n)
	case strings.Contains(line, " EXPUNGE"):
		return fmt.Errorf("not VANISHED: %s", line)
	case exists.MatchString(line):
		n := int(atou(exists.FindStringSubmatch(line)[1]))
		if n < len(c.list) {
			return fmt.Errorf("%s, known are %d", line, len(c.list))
		}
		c.list = append(c.list, make([]uint32, n-len(c.list))...)
	case vanished.MatchString(line):
		m := vanished.FindStringSubmatch(line)
		return c.vanish(m[2], m[1] != "")
	case fetchLine.MatchString(line):
		return c.fetched(fetchLine.FindStringSubmatch(line))
	}
	return nil
}

func (c *nomad) vanish(set string, earlier bool) error {
	for _, g := range strings.Split(set, ",") {
		from, to, many := strings.Cut(g, ":")
		if !many {
			to = from
		}
		for uid := uint32(atou(from)); uid <= uint32(atou(to)); uid++ {
			delete(c.flags, uid)
			i := slices.Index(c.list, uid)
			switch {
			case earlier && i >= 0:
				return fmt.Errorf("VANISHED (EARLIER) %d, which is message %d", uid, i+1)
			case earlier:
			case i >= 0:
				c.list = slices.Delete(c.list, i, i+1)
			default: // one that it has not asked for stands behind all of lower UIDs
				i := len(c.list)
				for i > 0 && (c.list[i-1] == 0 || c.list[i-1] > uid) {
					i--
				}
				if i == len(c.list) || c.list[i] != 0 {
					return fmt.Errorf("VANISHED %d, which is no message of %v", uid, c.list)
				}
				c.list = slices.Delete(c.list, i, i+1)
			}
		}
	}
	return nil
}

func (c *nomad) fetched(m []string) error {
	n := int(atou(m[1]))
	if n < 1 || n > len(c.list) {
		return fmt.Errorf("%s of %d messages", m[0], len(c.list))
	}
	if u := uidItem.FindStringSubmatch(m[2]); u != nil {
		if uid := uint32(atou(u[1])); c.list[n-1] != 0 && c.list[n-1] != uid {
			return fmt.Errorf("%s, which was UID %d", m[0], c.list[n-1])
		}
		c.list[n-1] = uint32(atou(u[1]))
	}
	uid := c.list[n-1]
	f := flagsItem.FindStringSubmatch(m[2])
	switch {
	case uid == 0:
	case f != nil:
		c.flags[uid] = tidy(f[1])
	case c.apply != nil && modseqItem.MatchString(m[2]): // the answer to a silent STORE
		c.flags[uid] = tidy(c.apply(c.flags[uid]))
	}
	if q := modseqItem.FindStringSubmatch(m[2]); q != nil {
		c.heard = max(c.heard, atou(q[1]))
	}
	return nil
}

// line reads a line, without the literals in it.
func (c *nomad) line() (string, error) {
	text, err := c.r.ReadString('\n')
	text = strings.TrimRight(text, "\r\n")
	m := literal.FindStringSubmatch(text)
	if err != nil || m == nil {
		return text, err
	}
	if _, err := c.r.Discard(int(atou(m[1]))); err != nil {
		return "", err
	}
	rest, err := c.line()
	return text + rest, err
}

// do sends a command and takes in the answer, at most lines lines of it: then
// the connection is lost.
func (c *nomad) do(command string, lines int) (answer string, err error) {
	c.tag++
	c.kept = c.kept[:0]
	tag := fmt.Sprintf("t%d ", c.tag)
	_ = c.conn.SetDeadline(time.Now().Add(time.Minute)) // for one command: a session may last as long as it takes
	if _, err := io.WriteString(c.conn, tag+command+"\r\n"); err != nil {
		return "", err
	}
	for {
		if lines--; lines < 0 {
			c.lose()
			return "", nil
		}
		line, err := c.line()
		if err != nil {
			return "", fmt.Errorf("%s: %w", command, err)
		}
		if rest, tagged := strings.CutPrefix(line, tag); tagged {
			if m := codeHigh.FindStringSubmatch(line); m != nil {
				c.told = atou(m[1])
			}
			c.high = max(c.high, c.heard)
			if c.told > 0 { // "the client MUST use it even if it has seen higher mod-sequences"
				c.high = c.told
			}
			c.heard, c.told = 0, 0
			if strings.HasPrefix(rest, "BAD") {
				return rest, fmt.Errorf("%s: %s", command, rest)
			}
			return rest, nil
		}
		c.kept = append(c.kept, line)
		if err := c.take(line); err != nil {
			return "", fmt.Errorf("%s: %w", command, err)
		}
	}
}

const whole = 1 << 30

// lose ends the connection without a word. What is known of messages that the
// client has not come to ask for is forgotten.
func (c *nomad) lose() {
	maps.DeleteFunc(c.flags, func(uid uint32, _ string) bool { return uid > c.upTo })
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn, c.list, c.heard, c.told, c.apply = nil, nil, 0, 0, nil
}

// connect brings the copy up to date: with what it knows, or from nothing.
// With match it also says where some messages were.
func (c *nomad) connect(match bool, lines int) error {
	var err error
	c.lose()
	known := slices.Sorted(maps.Keys(c.flags))
	if c.conn, err = c.h.dial(); err != nil {
		return err
	}
	c.r = bufio.NewReader(c.conn)
	if _, err := c.do("ENABLE QRESYNC", whole); err != nil {
		return err
	}
	command := "SELECT INBOX"
	if c.high > 0 {
		extra := ""
		if n := len(known); n > 0 {
			extra = fmt.Sprintf(" 1:%d", known[n-1])
			if match {
				extra += fmt.Sprintf(" (%d %d)", n/2+1, known[n/2])
			}
		}
		command += fmt.Sprintf(" (QRESYNC (%d %d%s))", c.validity, c.high, extra)
	}
	if _, err := c.do(command, lines); err != nil || c.conn == nil {
		return err
	}
	// Of later ones it may have been told, too, but those are not all there are.
	known = slices.DeleteFunc(slices.Sorted(maps.Keys(c.flags)), func(uid uint32) bool { return uid > c.upTo })
	if copy(c.list, known) < len(known) {
		return fmt.Errorf("%s: the client knows %v of %d messages", command, known, len(c.list))
	}
	return c.fetchNew()
}

// fetchNew asks for messages that the client has not asked for: all, when it
// begins. Others may come meanwhile.
func (c *nomad) fetchNew() error {
	for try := 0; try == 0 || slices.Contains(c.list, 0); try++ {
		if try == 100 {
			return fmt.Errorf("messages of %v beyond %d cannot be had", c.list, c.upTo)
		}
		if _, err := c.do(fmt.Sprintf("UID FETCH %d:* (FLAGS)", c.upTo+1), whole); err != nil {
			return err
		}
	}
	if known := slices.Sorted(maps.Keys(c.flags)); !slices.Equal(known, c.list) {
		return fmt.Errorf("the client knows %v of messages %v", known, c.list)
	}
	if n := len(c.list); n > 0 {
		c.upTo = max(c.upTo, c.list[n-1])
	}
	return nil
}

// truth is INBOX as a client sees it that asks for everything.
func (h *house) truth() (map[uint32]string, error) {
	c := &nomad{h: h, flags: map[uint32]string{}, plain: true}
	var err error
	if c.conn, err = h.dial(); err != nil {
		return nil, err
	}
	defer func() { _ = c.conn.Close() }()
	c.r = bufio.NewReader(c.conn)
	if _, err = c.do("EXAMINE INBOX", whole); err == nil {
		_, err = c.do("UID FETCH 1:* (FLAGS)", whole)
	}
	return c.flags, err
}

// agree compares the copy with the mailbox. A command of a connection that was
// lost may still be at work: what it does is told as what others do is. What
// was missed before will not be.
func (c *nomad) agree() error {
	for end := time.Now().Add(atWork); ; {
		_, err := c.do("NOOP", whole)
		if err == nil && slices.Contains(c.list, 0) {
			err = c.fetchNew()
		}
		var want map[uint32]string
		if err == nil {
			want, err = c.h.truth()
		}
		switch {
		case err != nil || maps.Equal(c.flags, want):
			return err
		case time.Now().After(end):
			return fmt.Errorf("at MODSEQ %d the client has\n%v, not\n%v", c.high, c.flags, want)
		}
	}
}

// atWork is how long a command of a connection that was lost may take on a busy
// machine.
const atWork = 20 * time.Second

// chooser draws what happens: rapid's, or a random one.
type chooser interface{ intn(n int) int }

type rapidChooser struct{ t *rapid.T }

func (c rapidChooser) intn(n int) int { return rapid.IntRange(0, n-1).Draw(c.t, "choice") }

type randChooser struct{ r *rand.Rand }

func (c randChooser) intn(n int) int { return c.r.IntN(n) }

func pick[T any](c chooser, of ...T) T { return of[c.intn(len(of))] }

// act has a connected client do something; lines cuts the answer.
func (c *nomad) act(ch chooser, lines int) error {
	n := max(len(c.list), 1)
	set := fmt.Sprintf("%d:%d", ch.intn(n)+1, ch.intn(n)+1)
	uids := "1:*"
	if len(c.list) > 0 {
		uids = fmt.Sprintf("%d:%d", max(1, c.list[ch.intn(n)]), max(1, c.list[ch.intn(n)]))
	}
	flag, op := pick(ch, `\Seen`, `\Deleted`, `\Flagged`, "$k"), pick(ch, "+", "-", "")
	var command string
	what := ch.intn(13)
	if len(c.list) == 0 && what < 8 {
		what = 8
	}
	c.apply = nil
	switch what {
	case 0, 1:
		command = "STORE " + set + " " + op + "FLAGS (" + flag + ")"
	case 2:
		command = "UID STORE " + uids + " " + op + "FLAGS.SILENT (" + flag + ")"
		c.apply = silent(op, flag)
	case 3:
		command = fmt.Sprintf("STORE %s (UNCHANGEDSINCE %d) %sFLAGS.SILENT (%s)", set, c.high, op, flag)
		c.apply = silent(op, flag)
	case 4:
		command = "FETCH " + set + " (BODY[TEXT]<0.1>)"
	case 5:
		command = "UID MOVE " + uids + " " + pick(ch, "Other", "INBOX")
	case 6:
		command = "COPY " + set + " INBOX"
	case 7:
		command = "FETCH " + set + " (UID FLAGS MODSEQ)"
	case 8:
		command = pick(ch, "EXPUNGE", "UID EXPUNGE "+uids)
	case 9:
		command = fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d VANISHED)", c.high)
	case 10:
		command = "SEARCH MODSEQ 1"
	case 11:
		command = "APPEND INBOX ($a) {8+}\r\nA: b\r\n\r\n"
	default:
		command = "NOOP"
	}
	_, err := c.do(command, lines)
	c.apply = nil
	if err == nil && c.conn != nil && slices.Contains(c.list, 0) {
		err = c.fetchNew()
	}
	return err
}

// silent is what a client does itself when it has asked for silence.
func silent(op, flag string) func(string) string {
	return func(flags string) string {
		f := strings.Fields(flags)
		if op == "" {
			f = nil
		}
		f = slices.DeleteFunc(f, func(s string) bool { return s == flag })
		if op != "-" {
			f = append(f, flag)
		}
		return strings.Join(f, " ")
	}
}

// meddle is what other programs do to the files.
func (h *house) meddle(ch chooser) error {
	if ch.intn(2) == 0 {
		text := fmt.Sprintf("Subject: s%d\n\n%s\n", ch.intn(3), strings.Repeat("x", ch.intn(3)))
		_, err := h.tree.Deliver(context.Background(), "INBOX", maildir.Meta{}, strings.NewReader(text))
		return err
	}
	dir := "/home/Maildir/cur"
	entries, err := h.fs.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return err
	}
	name := entries[ch.intn(len(entries))].Name()
	if ch.intn(3) == 0 {
		err = h.fs.Remove(path.Join(dir, name))
	} else {
		base, _, _ := strings.Cut(name, ":")
		err = h.fs.Rename(path.Join(dir, name), path.Join(dir, base+":2,"+pick(ch, "S", "F", "FS", "")+h.letters(ch)))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody was quicker
	}
	return errors.Join(err, h.fs.SyncDir(dir))
}

// letters are those of some of the keywords that there are.
func (h *house) letters(ch chooser) string {
	f, err := h.tree.Folder("INBOX")
	if err != nil {
		return ""
	}
	known, err := f.Keywords()
	if err != nil {
		return ""
	}
	out := ""
	for i, name := range known.Names[:3] {
		if name != "" && ch.intn(2) == 0 {
			out += string(rune('a' + i))
		}
	}
	return out
}

// popOne deletes a message by POP3.
func (h *house) popOne(ch chooser) error {
	uids, err := h.pop("")
	if err == nil && len(uids) > 0 {
		_, err = h.pop(fmt.Sprintf("DELE %d", ch.intn(len(uids))+1))
	}
	return err
}

// Whatever several sessions and other programs do to a mailbox, over restarts
// and crashes of the server: a client that comes back with what it knows, after
// a connection that was lost in the middle of an answer, and resynchronizes by
// QRESYNC, has exactly what is there; and all views of it agree.
func TestResyncProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, err := newHouse()
		check := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		check(err)
		var cs []*nomad
		for range 3 {
			cs = append(cs, &nomad{h: h, flags: map[uint32]string{}})
		}
		defer func() {
			for _, c := range cs {
				c.lose()
			}
			if !t.Failed() {
				check(h.store.Close(context.Background()))
			}
		}()
		check(h.acct.Create(context.Background(), "Other"))
		for range rapid.IntRange(0, 6).Draw(t, "start") {
			_, err := h.tree.Deliver(context.Background(), "INBOX", maildir.Meta{}, strings.NewReader("A: b\n\nx\n"))
			check(err)
		}
		ch := rapidChooser{t}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			c := pick(ch, cs...)
			what := rapid.SampledFrom([]string{"act", "act", "act", "act", "cut", "away", "files", "files", "pop3", "views", "restart", "crash", "lost index"}).Draw(t, "what")
			switch {
			case what == "files":
				check(h.meddle(ch))
			case what == "pop3":
				check(h.popOne(ch))
			case what == "views":
				check(h.views(ch))
			case what == "restart" || what == "crash" || what == "lost index":
				check(h.again(what, cs))
			case c.conn == nil:
				check(c.connect(ch.intn(2) == 0, whole))
				check(c.agree())
			case what == "away":
				c.lose()
			case what == "cut":
				check(c.act(ch, ch.intn(6)))
			default:
				check(c.act(ch, whole))
			}
		}
		for _, c := range cs {
			check(c.connect(ch.intn(2) == 0, ch.intn(8)))
			check(c.connect(ch.intn(2) == 0, whole))
			check(c.agree())
		}
		check(h.views(ch))
	})
}

// again starts the server anew. After a crash the index alone knows some of
// what was told before: losing both is more than can be made good.
func (h *house) again(how string, cs []*nomad) error {
	if h.crashed && how == "lost index" {
		how = "restart"
	}
	h.crashed = h.crashed || how == "crash"
	for _, c := range cs {
		c.lose()
	}
	h.clock.Add(int64(time.Hour)) // an index that is made anew has MODSEQs from the clock
	if how == "crash" {
		old := h.store
		mem := h.fs.Crash()
		for _, dir := range []string{"", "/.Other"} { // it would be waited for
			_ = mem.Remove("/home/Maildir" + dir + "/dovecot-uidlist.lock")
		}
		err := h.open(mem)
		_ = old.Close(context.Background()) // on the disk that is no more
		return err
	}
	if how == "lost index" { // nobody loses it in good order who has not flushed it
		m, err := h.acct.Open(context.Background(), "INBOX")
		if err == nil {
			err = m.Close()
		}
		if err != nil {
			return err
		}
	}
	if err := h.store.Close(context.Background()); err != nil {
		return err
	}
	if how == "lost index" {
		if err := disk.RemoveAll(h.fs, "/index"); err != nil {
			return err
		}
	}
	return h.open(h.fs)
}

// The same with sessions that run at the same time: a client whose connection
// is lost again and again.
func TestResyncUnderLoad(t *testing.T) {
	h, err := newHouse()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	must(err)
	must(h.acct.Create(context.Background(), "Other"))
	for range 20 {
		_, err := h.tree.Deliver(context.Background(), "INBOX", maildir.Meta{}, strings.NewReader("A: b\n\nx\n"))
		must(err)
	}
	var wg sync.WaitGroup
	var working atomic.Int32
	for i := range uint64(3) {
		wg.Add(1)
		working.Add(1)
		go func() {
			defer wg.Done()
			defer working.Add(-1)
			ch := randChooser{rand.New(rand.NewPCG(i, 1))}
			c := &nomad{h: h, flags: map[uint32]string{}}
			defer c.lose()
			must(c.connect(false, whole))
			for range 150 {
				if err := c.act(ch, whole); err != nil {
					must(err)
					return
				}
				if ch.intn(4) == 0 {
					must(h.meddle(ch))
				}
			}
		}()
	}
	ch := randChooser{rand.New(rand.NewPCG(9, 9))}
	c := &nomad{h: h, flags: map[uint32]string{}}
	rounds := 0
	for ; working.Load() > 0; rounds++ {
		if err := c.connect(ch.intn(2) == 0, pick(ch, whole, ch.intn(20))); err != nil {
			t.Fatal(err)
		}
		for range ch.intn(5) {
			if c.conn == nil {
				break
			}
			if err := c.act(ch, pick(ch, whole, ch.intn(10))); err != nil {
				t.Fatal(err)
			}
		}
	}
	wg.Wait()
	must(c.connect(true, whole))
	must(c.agree())
	c.lose()
	t.Logf("%d connections", rounds)
	must(h.store.Close(context.Background()))
}
