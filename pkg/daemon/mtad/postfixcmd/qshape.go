package postfixcmd

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/bits"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/postcote/postcote/pkg/daemon/mtad/queuecmd"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const qshapeOptions = "lhc:psw:b:t:m:n:N:"

const qshapeUsage = `Usage: qshape [ -s ] [ -p ] [ -m <min_subdomains> ] [ -l ]
	[ -b <bucket_count> ] [ -t <bucket_time> ] [ -w <terminal_width> ]
	[ -N <batch_msg_count> ] [ -n <batch_top_domains> ]
	[ -c <config_directory> ] [ <queue_name> ... ]
-s counts senders, -p also parent domains with <min_subdomains> or more below
them. The first bucket is for ages below <bucket_time> minutes; the others are
twice as long each, or with -l all as long. Without a queue_name: incoming active.
`

// exitShape is what qshape, a Perl program, ends with when it was called wrongly.
const exitShape = 255

// maxBuckets caps -b: a table wider than that is no table.
const maxBuckets = 1000

// shape is a table of ages by domain.
type shape struct {
	senders, parents, linear bool
	buckets                  int   // besides that of the sum
	tick                     int64 // minutes of the first bucket
	width                    int
	minSub                   int
	top                      int // rows that are shown, 0 for all

	rows map[string]*shapeRow
}

type shapeRow struct {
	count []int // the sum, then the buckets
	sub   int   // domains right below
}

const shapeTotal = "TOTAL"

// qshape is qshape(1).
func (t *tool) qshape(ctx context.Context, args []string) int {
	opts, queues, bad := getopt(args, qshapeOptions)
	if bad != 0 {
		fmt.Fprintf(t.Stderr, "%s: Unknown option: %c\n%s", t.name, bad, qshapeUsage)
		return exitShape
	}
	for _, o := range opts {
		switch o.letter {
		case 'h':
			fmt.Fprint(t.Stderr, qshapeUsage)
			return exitShape
		case 'c':
			t.configure(o.value)
		}
	}
	s := newShape(opts, t.Terminal)
	if len(queues) == 0 {
		queues = []string{"incoming", "active"}
	}
	now := t.Now().Unix()
	err := t.shaped(ctx, queues, func(l *queuecmd.Listed) { s.add(l, now-l.ArrivalTime) })
	switch {
	case err == nil:
	case fail.Is(err, fail.Denied):
		return t.fatal(exitUnavailable, "User %s(%d) is not allowed to view the mail queue", t.login(), t.UID)
	default:
		return t.fatal(exitUnavailable, "Queue report unavailable - mail system is down (%v)", err)
	}
	out := bufio.NewWriter(t.Stdout)
	s.print(out)
	if out.Flush() != nil {
		return exitError
	}
	return exitOK
}

// newShape is an empty table. A number that is too small is left out, as qshape
// does.
func newShape(opts []option, terminal bool) *shape {
	s := &shape{buckets: 10, tick: 5, width: 80, minSub: 5, rows: map[string]*shapeRow{}}
	if terminal {
		s.top = 20
	}
	for _, o := range opts {
		n, _ := strconv.Atoi(o.value)
		switch {
		case o.letter == 's':
			s.senders = true
		case o.letter == 'p':
			s.parents = true
		case o.letter == 'l':
			s.linear = true
		case o.letter == 'n' && terminal:
			s.top = max(n, 0)
		case o.letter == 'w' && n > 80:
			s.width = n
		case o.letter == 'b' && n > 0:
			s.buckets = min(n, maxBuckets)
		case o.letter == 't' && n > 0:
			s.tick = int64(n)
		case o.letter == 'm' && n > 0:
			s.minSub = n
		}
	}
	return s
}

// shaped visits the messages of some queues, which are named as folders are.
func (t *tool) shaped(ctx context.Context, queues []string, visit func(*queuecmd.Listed)) error {
	var states []string
	for _, q := range queues {
		switch name := filepath.Base(q); name {
		case "incoming", "active", "deferred", "hold":
			states = append(states, "state="+name)
		case "maildrop", "corrupt": // never hold anything
		default:
			t.warn("there is no queue %s", q)
		}
	}
	if len(states) == 0 {
		return nil
	}
	return t.ask(ctx, false, queuecmd.VerbList, states, func(raw json.RawMessage) error {
		var l queuecmd.Listed
		err := json.Unmarshal(raw, &l)
		visit(&l)
		return err
	})
}

// add counts a message of an age in seconds: its sender, or the recipients that
// are not done with.
func (s *shape) add(l *queuecmd.Listed, age int64) {
	bucket := s.bucket(age)
	if s.senders {
		sender := l.Sender
		if l.NullSender {
			sender = ""
		}
		s.count(sender, bucket)
		return
	}
	for _, r := range l.Recipients {
		if queuecmd.Unfinished(r.Status) {
			s.count(r.Address, bucket)
		}
	}
}

// bucket is 1 for less than a tick, 2 for less than two, and so on by doubling
// or, linear, by one.
func (s *shape) bucket(age int64) int {
	ticks := age / (60 * s.tick)
	switch {
	case ticks < 1:
		return 1
	case s.linear:
		return int(min(ticks+1, int64(s.buckets)))
	}
	return min(bits.Len64(uint64(ticks))+1, s.buckets)
}

func (s *shape) row(name string) *shapeRow {
	r := s.rows[name]
	if r == nil {
		r = &shapeRow{count: make([]int, s.buckets+1)}
		s.rows[name] = r
	}
	return r
}

func (r *shapeRow) add(bucket int) (first bool) {
	r.count[0]++
	r.count[bucket]++
	return r.count[0] == 1
}

// count adds an address to its domain, to all and, with -p, to the domains
// above it, of which the last is left out.
func (s *shape) count(address string, bucket int) {
	s.row(shapeTotal).add(bucket)
	name := "MAILER-DAEMON"
	if address != "" {
		name = strings.ToLower(address[strings.LastIndexByte(address, '@')+1:])
		name = strings.ReplaceAll(name, "..", ".")
		if len(name) > 1 {
			name = strings.TrimPrefix(name, ".")
		}
		if len(name) > 1 {
			name = strings.TrimSuffix(name, ".")
		}
	}
	first := s.row(name).add(bucket)
	for s.parents {
		_, parent, below := strings.Cut(strings.TrimPrefix(name, "."), ".")
		if !below || !strings.Contains(parent, ".") {
			return
		}
		name = "." + parent
		r := s.row(name)
		if first {
			r.sub++
		}
		first = r.add(bucket)
	}
}

// print writes the table: right-justified, the largest domains first.
func (s *shape) print(out *bufio.Writer) {
	total := s.row(shapeTotal)
	heads, widths := make([]string, s.buckets+1), make([]int, s.buckets+1)
	room := s.width
	limit := int64(0)
	for i := range heads {
		heads[i] = strconv.FormatInt(limit, 10)
		switch {
		case i == 0:
			heads[i] = "T"
		case i == s.buckets:
			heads[i] += "+"
		}
		switch {
		case i+1 >= s.buckets: // the last has no limit of its own
		case limit > 0 && !s.linear:
			limit *= 2
		default:
			limit += s.tick
		}
		widths[i] = max(len(heads[i]), len(strconv.Itoa(total.count[i])))
		if widths[i]++; widths[i] < 4 {
			widths[i] = 3
		}
		room -= widths[i]
	}
	room = max(room, 18)
	line := func(name string, cells []string) {
		fmt.Fprintf(out, "%*s", room, clipped(name, room))
		for i, c := range cells {
			fmt.Fprintf(out, "%*s", widths[i], c)
		}
		_ = out.WriteByte('\n')
	}
	line("", heads)
	names := slices.SortedFunc(maps.Keys(s.rows), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.rows[b].count[0], s.rows[a].count[0]), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	shown := 0
	for _, name := range names {
		r := s.rows[name]
		if name[0] == '.' && r.sub < s.minSub {
			continue
		}
		if shown++; s.top > 0 && shown > s.top {
			return
		}
		cells := make([]string, len(r.count))
		for i, n := range r.count {
			cells[i] = strconv.Itoa(n)
		}
		line(name, cells)
	}
}

// clipped is the end of a name that is too long.
func clipped(name string, room int) string {
	switch {
	case len(name) <= room:
		return name
	case name[0] == '.':
		return ".+" + name[len(name)-room+2:]
	}
	return "+" + name[len(name)-room+1:]
}
