package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// batch draws commands that a client sends in one piece.
func batch(t *rapid.T, most int) []string {
	n := rapid.IntRange(1, most).Draw(t, "commands")
	out := make([]string, n)
	for i := range out {
		x, y := rapid.IntRange(1, 6).Draw(t, "from"), rapid.IntRange(1, 6).Draw(t, "to")
		set := fmt.Sprintf("%d:%d", x, y)
		uid := rapid.SampledFrom([]string{"", "UID ", "UID "}).Draw(t, "uid")
		flag := rapid.SampledFrom([]string{`\Seen`, `\Deleted`, `$k`}).Draw(t, "flag")
		sign := rapid.SampledFrom([]string{"+", "-", ""}).Draw(t, "sign")
		dest := rapid.SampledFrom([]string{"Other", "Work", "INBOX"}).Draw(t, "dest")
		items := rapid.SampledFrom([]string{
			"FLAGS", "(UID FLAGS)", "(UID ENVELOPE)", "(UID FLAGS ENVELOPE)", "(UID BODY[TEXT])", "(UID BODY.PEEK[TEXT])",
		}).Draw(t, "items")
		out[i] = rapid.SampledFrom([]string{
			uid + "FETCH " + set + " " + items, uid + "FETCH " + set + " " + items, uid + "FETCH " + set + " " + items,
			uid + "STORE " + set + " " + sign + "FLAGS (" + flag + ")",
			uid + "STORE " + set + " " + sign + "FLAGS.SILENT (" + flag + ")",
			uid + "SEARCH RETURN (ALL) KEYWORD $k", uid + "SEARCH RETURN (ALL) SUBJECT x", uid + "SEARCH RETURN (COUNT) 2 BODY x",
			uid + "SEARCH RETURN (SAVE COUNT) SUBJECT x", uid + "SEARCH RETURN (SAVE) UID " + set + " BODY x", uid + "SEARCH RETURN (ALL) NOT $",
			uid + "SORT RETURN (SAVE MIN ALL) (REVERSE SUBJECT) UTF-8 UNSEEN", uid + "THREAD REFERENCES UTF-8 $",
			uid + "FETCH $ " + items, uid + "STORE $ " + sign + "FLAGS (" + flag + ")", uid + "COPY $ " + dest, "UID EXPUNGE $",
			uid + "COPY " + set + " " + dest, uid + "MOVE " + set + " Other",
			"NOOP", "EXPUNGE", "UID EXPUNGE " + set, "SELECT INBOX", "EXAMINE INBOX", "CLOSE", "UNSELECT",
			"STATUS " + dest + " (MESSAGES UNSEEN)", `LIST "" *`, `LIST "" * RETURN (STATUS (MESSAGES UNSEEN))`, `LSUB "" *`,
			"CREATE " + dest, "CREATE New", "DELETE New", "DELETE Work", "RENAME Work New", "SUBSCRIBE " + dest, "UNSUBSCRIBE Work",
			"APPEND " + dest + " {6}\r\na\r\nb\r\n", "IDLE\r\nDONE", "BOGUS", "FETCH 1:x FLAGS",
		}).Draw(t, "command")
	}
	return out
}

func smallAccount(t *rapid.T) *fakeAccount {
	a := newFakeAccount("Other", "Work")
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range rapid.IntRange(0, 6).Draw(t, "messages") {
		a.boxes["INBOX"].deliver(fmt.Sprintf("Subject: x%d\r\n\r\nx\r\n", i), a.now, Row{})
	}
	return a
}

// clone copies what batches can change.
func (a *fakeAccount) clone() *fakeAccount {
	b := newFakeAccount()
	b.uidv, b.boxes = a.uidv, map[string]*fakeBox{}
	for name, box := range a.boxes {
		c := *box
		c.account, c.data, c.wakes = b, map[uint32]*fakeMessage{}, nil
		for uid, m := range box.data {
			c.data[uid] = m
		}
		b.boxes[name] = &c
	}
	return b
}

// state is all that is in an account, as text.
func (a *fakeAccount) state() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var lines []string
	for name, b := range a.boxes {
		for _, r := range b.cur.rows {
			k := slices.Clone(r.Keywords)
			slices.Sort(k)
			lines = append(lines, fmt.Sprintf("%s %d: %v %v %q", name, r.UID, r.System, k, b.data[r.UID].text))
		}
		lines = append(lines, fmt.Sprintf("%s: next %d", name, b.next))
	}
	for name := range a.subs {
		lines = append(lines, "subscribed "+name)
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func script(commands []string) string {
	var in strings.Builder
	in.WriteString("s SELECT INBOX\r\n")
	for i, c := range commands {
		fmt.Fprintf(&in, "t%d %s\r\n", i, c)
	}
	in.WriteString("z LOGOUT\r\n")
	return in.String()
}

// oneByOne is what a server says that runs each command to its end.
func oneByOne(a *fakeAccount, in string) string {
	out := new(bytes.Buffer)
	s := newSession(sequential(Config{MaxBad: 1000}), recording{nil, out}, Start{Account: a})
	s.begin(context.Background())
	s.r.Preload([]byte(in))
	for !s.done {
		if c := s.next(); c != nil {
			s.perform(c)
		}
	}
	s.close()
	return out.String()
}

// allAtOnce is what the engine says when it reads ahead whenever it can and
// every operation takes its time.
func allAtOnce(t *rapid.T, a *fakeAccount, in string, beside *atomic.Int64) string {
	seed := rapid.Uint64().Draw(t, "seed")
	var calls, inside atomic.Uint64
	a.jitter = func() {
		if inside.Add(1) > 1 {
			beside.Add(1)
		}
		defer inside.Add(^uint64(0))
		r := rand.New(rand.NewPCG(seed, calls.Add(1)))
		for range r.IntN(200) {
			runtime.Gosched()
		}
	}
	srv := New(Config{MaxBad: 1000})
	srv.watch.patience = 5 * time.Microsecond
	ours, theirs, err := pairOfConns()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	done := make(chan Summary, 1)
	go func() {
		sum := srv.Serve(context.Background(), ours, Start{Account: a})
		_ = ours.Close()
		done <- sum
	}()
	go func() { _, _ = io.WriteString(theirs, in) }()
	_ = theirs.SetReadDeadline(time.Now().Add(30 * time.Second))
	out, err := io.ReadAll(theirs)
	if sum := <-done; err != nil || sum.Err != nil {
		t.Fatalf("%v: %+v after %s", err, sum, out)
	}
	return string(out)
}

func pairOfConns() (ours, theirs net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if theirs, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	ours, err = l.Accept()
	return ours, theirs, err
}

func sorted(out string) string {
	lines := strings.Split(out, "\r\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// Whatever a client pipelines: the account becomes what it would have become,
// and the client is told the same, in another order at most.
func TestOverlapIsNotSeen(t *testing.T) {
	var beside atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		a := smallAccount(t)
		b := a.clone()
		in := script(batch(t, 25))
		want, got := oneByOne(a, in), allAtOnce(t, b, in, &beside)
		if i, j := strings.Index(want, "s OK"), strings.Index(got, "s OK"); sorted(want[i:]) != sorted(got[j:]) {
			t.Fatalf("%s\none by one:\n%s\nall at once:\n%s", in, want, got)
		}
		if a.state() != b.state() {
			t.Fatalf("%s\none by one:\n%s\nall at once:\n%s", in, a.state(), b.state())
		}
	})
	if beside.Load() == 0 {
		t.Error("no operation has ever run beside another")
	}
}

var numbered = regexp.MustCompile(`^\* (\d+) (EXPUNGE|EXISTS|FETCH)(?: \((?:UID (\d+))?)?`)

// With another session that changes the mailbox at the same time, every
// message number that a client hears means the message it takes it for.
func TestOverlapKeepsNumbers(t *testing.T) {
	var beside atomic.Int64
	rapid.Check(t, func(t *rapid.T) {
		a := smallAccount(t)
		in := script(batch(t, 25))
		stop, gone := make(chan struct{}), make(chan struct{})
		seed := rapid.Uint64().Draw(t, "others")
		go func() {
			defer close(gone)
			meddle(a, seed, stop)
		}()
		out := allAtOnce(t, a, in, &beside)
		close(stop)
		<-gone
		if err := follow(out); err != nil {
			t.Fatalf("%s%v in\n%s", in, err, out)
		}
	})
}

// meddle is another session: it delivers and expunges.
func meddle(a *fakeAccount, seed uint64, stop chan struct{}) {
	r := rand.New(rand.NewPCG(seed, 1))
	for {
		select {
		case <-stop:
			return
		default:
		}
		for range r.IntN(300) {
			runtime.Gosched()
		}
		a.mu.Lock()
		if b := a.boxes["INBOX"]; r.IntN(2) == 0 || b.cur.Len() == 0 {
			b.deliver("Subject: y\r\n\r\nx\r\n", a.now, Row{})
		} else {
			i := r.IntN(b.cur.Len())
			b.update(slices.Delete(slices.Clone(b.cur.rows), i, i+1))
		}
		a.mu.Unlock()
	}
}

// follow believes what a session said, and finds out where that is wrong.
func follow(out string) error {
	var uids []string // "" unknown
	for _, line := range strings.Split(out, "\r\n") {
		if strings.Contains(line, "[CLOSED]") || strings.Contains(line, " OK Close ") || strings.Contains(line, " OK Unselect ") {
			uids = nil
		}
		m := numbered.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[1])
		switch {
		case m[2] == "EXISTS" && n >= len(uids):
			uids = append(uids, make([]string, n-len(uids))...)
		case n < 1 || n > len(uids):
			return fmt.Errorf("%s of %d messages", line, len(uids))
		case m[2] == "EXPUNGE":
			uids = slices.Delete(uids, n-1, n)
		case m[3] == "":
		case uids[n-1] != "" && uids[n-1] != m[3]:
			return fmt.Errorf("%s, whose UID was %s", line, uids[n-1])
		default:
			uids[n-1] = m[3]
		}
	}
	return nil
}
