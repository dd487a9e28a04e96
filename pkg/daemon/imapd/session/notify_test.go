package session

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/proto/handover"
)

// believer is a client that asks once and then believes what it is told.
type believer struct {
	t        *testing.T
	conn     net.Conn
	r        *bufio.Reader
	boxes    map[string]map[string]string // STATUS items by mailbox
	attrs    map[string]string            // of mailboxes: "", "subscribed"
	selected string
	rows     []string // "uid flags"; "" where nothing is known
	tag      int
}

func believe(t *testing.T, conn net.Conn) *believer {
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	b := &believer{t: t, conn: conn, r: bufio.NewReader(conn), boxes: map[string]map[string]string{}, attrs: map[string]string{}}
	b.until("a0 ")
	return b
}

// run sends a command and reads its answer.
func (b *believer) run(format string, args ...any) {
	b.tag++
	tag := fmt.Sprintf("t%d ", b.tag)
	fmt.Fprintf(b.conn, tag+format+"\r\n", args...)
	if l := b.until(tag); !strings.HasPrefix(l, tag+"OK ") && !strings.HasPrefix(l, tag+"NO [EXPUNGEISSUED]") {
		b.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), l)
	}
}

// until reads up to a line with that beginning.
func (b *believer) until(prefix string) string {
	for {
		line, err := b.r.ReadString('\n')
		if err != nil {
			b.t.Fatalf("%v while waiting for %q", err, prefix)
		}
		line = strings.TrimSuffix(line, "\r\n")
		b.take(line)
		if strings.HasPrefix(line, prefix) {
			return line
		}
	}
}

func (b *believer) take(line string) {
	f := strings.Fields(line)
	if len(f) < 3 || f[0] != "*" {
		return
	}
	switch f[1] {
	case "STATUS":
		items := b.boxes[f[2]]
		if items == nil {
			items = map[string]string{}
			b.boxes[f[2]] = items
		}
		list := strings.Fields(strings.Trim(strings.Join(f[3:], " "), "()"))
		for i := 0; i+1 < len(list); i += 2 {
			items[list[i]] = list[i+1]
		}
	case "LIST":
		b.list(line)
	case "BYE":
		b.t.Fatal(line)
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return
	}
	switch f[2] {
	case "EXISTS":
		for len(b.rows) < n {
			b.rows = append(b.rows, "")
		}
		if len(b.rows) != n {
			b.t.Fatalf("%d messages, then %s", len(b.rows), line)
		}
	case "EXPUNGE":
		b.rows = slices.Delete(b.rows, n-1, n)
	case "FETCH":
		b.fetch(n, line)
	}
}

func (b *believer) fetch(n int, line string) {
	m := regexp.MustCompile(`UID (\d+)`).FindStringSubmatch(line)
	flags := regexp.MustCompile(`FLAGS \(([^)]*)\)`).FindStringSubmatch(line)
	if flags == nil {
		return
	}
	if m == nil {
		m = []string{"", strings.Split(b.rows[n-1], " ")[0]}
	}
	set := slices.DeleteFunc(strings.Fields(flags[1]), func(f string) bool { return f == `\Recent` })
	slices.Sort(set)
	b.rows[n-1] = m[1] + " " + strings.Join(set, " ")
}

func (b *believer) list(line string) {
	m := regexp.MustCompile(`^\* LIST \(([^)]*)\) "." (\S+)(?: \("OLDNAME" \((\S+)\)\))?$`).FindStringSubmatch(line)
	if m == nil {
		b.t.Fatalf("odd LIST: %s", line)
	}
	attrs, name, old := m[1], m[2], m[3]
	if old != "" {
		for was := range maps.Clone(b.attrs) {
			if was == old || strings.HasPrefix(was, old+".") {
				b.move(was, name+was[len(old):])
			}
		}
	}
	switch {
	case strings.Contains(attrs, `\Noselect`) || strings.Contains(attrs, `\NonExistent`):
		delete(b.attrs, name)
		delete(b.boxes, name)
	case strings.Contains(attrs, `\Subscribed`):
		b.attrs[name] = "subscribed"
	default:
		b.attrs[name] = ""
	}
}

func (b *believer) move(from, to string) {
	if box := b.boxes[from]; box != nil {
		b.boxes[to] = box
	}
	b.attrs[to] = b.attrs[from]
	delete(b.boxes, from)
	delete(b.attrs, from)
}

const allItems = "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)"

// learn asks for everything, as a client without NOTIFY has to.
func (b *believer) learn() {
	b.attrs, b.boxes = map[string]string{}, map[string]map[string]string{}
	b.run(`LIST "" "*" RETURN (SUBSCRIBED STATUS %s)`, allItems)
}

func (b *believer) open(name string) {
	b.rows, b.selected = nil, name
	b.run("SELECT %s", name)
	b.run("UID FETCH 1:* (UID FLAGS)")
}

// shut leaves the mailbox, of which STATUS has said nothing for a while.
func (b *believer) shut() {
	b.run("UNSELECT")
	b.run("STATUS %s %s", b.selected, allItems)
	b.selected = ""
}

// churn is a session that changes things at random.
func churn(b *believer, rng *rand.Rand, steps int, own string) {
	fixed := []string{"INBOX", "Sent", "Lists", "Lists.one", "Lists.two"}
	pick := func() string { return fixed[rng.IntN(len(fixed))] }
	have := false
	for range steps {
		switch rng.IntN(8) {
		case 0, 1, 2:
			flags := [...]string{"", `(\Seen) `, `(\Deleted) `, "(x) "}[rng.IntN(4)]
			b.run("APPEND %s %s{5+}\r\nA: b\n", pick(), flags)
		case 3, 4, 5:
			b.rows = nil
			b.run("SELECT %s", pick())
			if len(b.rows) > 0 {
				b.run("UID STORE %d:* %sFLAGS (%s)", 1+rng.IntN(50), [...]string{"+", "-"}[rng.IntN(2)], [...]string{`\Seen`, `\Deleted`, "x"}[rng.IntN(3)])
				b.run("UID COPY 1:%d %s", 1+rng.IntN(20), pick())
				b.run("%s", [...]string{"EXPUNGE", "NOOP", "UID FETCH 1:5 BODY[TEXT]"}[rng.IntN(2)])
			}
			b.run("UNSELECT")
		case 6:
			if have = !have; have {
				b.run("CREATE %s", own)
				b.run("SUBSCRIBE %s", own)
				b.run("APPEND %s {5+}\r\nA: b\n", own)
				b.run("RENAME %s Lists.%s", own, own)
			} else {
				b.run("UNSUBSCRIBE %s", own)
				b.run("DELETE Lists.%s", own)
			}
		case 7:
			b.run([...]string{"SUBSCRIBE %s", "UNSUBSCRIBE %s"}[rng.IntN(2)], pick())
		}
	}
	if !have {
		b.run("CREATE Lists.%s", own)
	}
}

// What a client that has used NOTIFY once believes in the end is how everything
// is, whatever other sessions and deliveries did to all mailboxes.
func TestWhoIsNotifiedKnowsAll(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, nil)
			b := believe(t, w.dial(handover.IMAP, "alice"))
			for _, name := range []string{"Lists", "Lists.one", "Lists.two"} {
				b.run("CREATE %s", name)
			}
			b.run("ENABLE CONDSTORE")
			b.learn()
			what := "MessageExpunge FlagChange"
			delayed := [...]string{"selected", "selected-delayed"}[seed%2]
			b.run("NOTIFY SET STATUS (%s (MessageNew (UID FLAGS) %s)) (personal (MessageNew %s MailboxName SubscriptionChange))", delayed, what, what)
			var wg sync.WaitGroup
			for i := range 3 {
				other := believe(t, w.dial(handover.IMAP, "alice"))
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				wg.Go(func() { churn(other, rng, 40, fmt.Sprintf("own%d", i)) })
			}
			wg.Go(func() {
				for range 20 {
					if err := w.deliver("alice", "x", true); err != nil {
						t.Error(err)
					}
				}
			})
			over := make(chan struct{})
			go func() { wg.Wait(); close(over) }()
			rng := rand.New(rand.NewPCG(seed, 99))
			for busy := true; busy; {
				select {
				case <-over:
					busy = false
				default:
				}
				b.open([...]string{"INBOX", "Sent", "Lists"}[rng.IntN(3)])
				b.idle()
				b.run("APPEND Lists.one {5+}\r\nA: b\n")
				b.run("NOOP")
				b.shut()
				b.run("STATUS Lists.one %s", allItems)
			}
			b.open("INBOX")
			truth := believe(t, w.dial(handover.IMAP, "alice"))
			truth.run("ENABLE CONDSTORE")
			truth.learn() // which has the last deliveries seen
			truth.run("CREATE zz")
			truth.run("APPEND zz {5+}\r\nA: b\n")
			b.until("* STATUS zz (MESSAGES 1 ")
			b.run("NOOP")
			truth.learn()
			truth.open("INBOX")
			b.compare(truth)
		})
	}
}

func (b *believer) idle() {
	b.tag++
	fmt.Fprintf(b.conn, "t%d IDLE\r\n", b.tag)
	b.until("+ ")
	_, _ = io.WriteString(b.conn, "DONE\r\n")
	b.until(fmt.Sprintf("t%d OK", b.tag))
}

func (b *believer) compare(truth *believer) {
	b.t.Helper()
	if !maps.Equal(b.attrs, truth.attrs) {
		b.t.Errorf("mailboxes %v\nare %v", b.attrs, truth.attrs)
	}
	if !slices.Equal(b.rows, truth.rows) {
		b.t.Errorf("messages %q\nare %q", b.rows, truth.rows)
	}
	for name, items := range truth.boxes {
		if name != b.selected && !maps.Equal(b.boxes[name], items) {
			b.t.Errorf("%s: %v\nis %v", name, b.boxes[name], items)
		}
	}
}
