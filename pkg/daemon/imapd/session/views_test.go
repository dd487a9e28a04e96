package session

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/imapd/maildrop"
	pop3 "github.com/postcote/postcote/pkg/proto/pop3/server"
)

// row is a message as FETCH shows it. All other views are held against the
// rows, by a model that knows nothing but them.
type row struct {
	uid     uint32
	flags   string
	subject string
	size    uint64
	date    time.Time
	modseq  uint64
}

func (r row) has(flag string) bool { return slices.Contains(strings.Fields(r.flags), flag) }

var (
	sizeItem    = regexp.MustCompile(`RFC822\.SIZE (\d+)`)
	subjectItem = regexp.MustCompile(`ENVELOPE \(NIL (?:NIL|"([^"]*)") `)
	dateItem    = regexp.MustCompile(`INTERNALDATE "([^"]*)"`)
)

// viewer is a client that looks at everything, and changes nothing.
type viewer struct {
	*nomad
	rows []row
}

// views compares what SEARCH, ESEARCH, SORT, THREAD, CHANGEDSINCE, STATUS and
// POP3 show with what FETCH shows. A command of a connection that was lost may
// still be at work: what differs then does so no more at the next look.
func (h *house) views(ch chooser) (err error) {
	for end := time.Now().Add(atWork); ; {
		v := &viewer{nomad: &nomad{h: h, flags: map[uint32]string{}}}
		if err = v.look(ch); err == nil {
			err = v.popped()
		}
		v.lose()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

func (v *viewer) look(ch chooser) (err error) {
	if v.conn, err = v.h.dial(); err != nil {
		return err
	}
	_ = v.conn.SetDeadline(time.Now().Add(5 * time.Minute))
	v.r = bufio.NewReader(v.conn)
	for _, command := range []string{"ENABLE QRESYNC", "EXAMINE INBOX", "UID FETCH 1:* (FLAGS RFC822.SIZE INTERNALDATE ENVELOPE MODSEQ)"} {
		if _, err := v.do(command, whole); err != nil {
			return err
		}
	}
	for _, line := range v.kept {
		v.rows = append(v.rows, parseRow(line))
	}
	if len(v.rows) != len(v.list) {
		return fmt.Errorf("%d messages of %d were fetched", len(v.rows), len(v.list))
	}
	for _, k := range v.keys(ch) {
		if err := v.search(k); err != nil {
			return err
		}
	}
	for _, s := range sortings() {
		if err := v.sort(s); err != nil {
			return err
		}
	}
	return errors.Join(v.thread(), v.changedSince(ch), v.status())
}

func parseRow(line string) (r row) {
	if m := uidItem.FindStringSubmatch(line); m != nil {
		r.uid = uint32(atou(m[1]))
	}
	if m := flagsItem.FindStringSubmatch(line); m != nil {
		r.flags = tidy(m[1])
	}
	if m := sizeItem.FindStringSubmatch(line); m != nil {
		r.size = atou(m[1])
	}
	if m := subjectItem.FindStringSubmatch(line); m != nil {
		r.subject = m[1]
	}
	if m := modseqItem.FindStringSubmatch(line); m != nil {
		r.modseq = atou(m[1])
	}
	if m := dateItem.FindStringSubmatch(line); m != nil {
		r.date, _ = time.Parse("_2-Jan-2006 15:04:05 -0700", m[1])
	}
	return r
}

// told is the rest of the one kept line with that beginning.
func (v *viewer) told(command, beginning string) (string, error) {
	if _, err := v.do(command, whole); err != nil {
		return "", err
	}
	for _, line := range v.kept {
		if rest, ok := strings.CutPrefix(line, beginning); ok {
			return strings.TrimSpace(rest), nil
		}
	}
	return "", fmt.Errorf("%s: no line %q in %q", command, beginning, v.kept)
}

// differs is the error of a view.
func (v *viewer) differs(command string, got, want any) error {
	return fmt.Errorf("%s: %v, want %v of %+v", command, got, want, v.rows)
}

// key is a search key and what it means.
type key struct {
	text  string
	holds func(i int, r row) bool
}

func (v *viewer) keys(ch chooser) []key {
	n := len(v.rows)
	from, mod := ch.intn(n+1), uint64(1)
	if n > 0 {
		mod = max(v.rows[ch.intn(n)].modseq, 1)
	}
	has := func(flag string) func(int, row) bool { return func(_ int, r row) bool { return r.has(flag) } }
	not := func(k func(int, row) bool) func(int, row) bool { return func(i int, r row) bool { return !k(i, r) } }
	return []key{
		{"ALL", func(int, row) bool { return true }},
		{"UNSEEN", not(has(`\Seen`))},
		{"FLAGGED NOT DELETED", func(_ int, r row) bool { return r.has(`\Flagged`) && !r.has(`\Deleted`) }},
		{"OR DELETED SEEN", func(_ int, r row) bool { return r.has(`\Deleted`) || r.has(`\Seen`) }},
		{"KEYWORD $k", has("$k")},
		{"UNKEYWORD $a", not(has("$a"))},
		{"SUBJECT s1", func(_ int, r row) bool { return strings.Contains(r.subject, "s1") }},
		{"LARGER 12", func(_ int, r row) bool { return r.size > 12 }},
		{fmt.Sprintf("%d:*", from+1), func(i int, _ row) bool { return i >= from || i == n-1 }},
		{fmt.Sprintf("MODSEQ %d", mod), func(_ int, r row) bool { return r.modseq >= mod }},
	}
}

func (v *viewer) search(k key) error {
	var want []string
	for i, r := range v.rows {
		if k.holds(i, r) {
			want = append(want, fmt.Sprint(r.uid))
		}
	}
	got, err := v.told("UID SEARCH "+k.text, "* SEARCH")
	if err != nil {
		return err
	}
	if before, _, _ := strings.Cut(got, "(MODSEQ"); !slices.Equal(strings.Fields(before), want) {
		return v.differs("SEARCH "+k.text, got, want)
	}
	got, err = v.told("UID SEARCH RETURN (MIN MAX COUNT) "+k.text, "* ESEARCH ")
	if err != nil {
		return err
	}
	all := fmt.Sprintf("COUNT %d", len(want))
	if len(want) > 0 {
		all = fmt.Sprintf("MIN %s MAX %s %s", want[0], want[len(want)-1], all)
	}
	if _, items, _ := strings.Cut(got, "UID"); !strings.HasPrefix(strings.TrimSpace(items), all) {
		return v.differs("ESEARCH "+k.text, got, all)
	}
	return nil
}

// sorting is a sort program and what it means.
type sorting struct {
	text    string
	compare func(a, b row) int
}

func sortings() []sorting {
	subject := func(a, b row) int { return cmp.Compare(a.subject, b.subject) }
	size := func(a, b row) int { return cmp.Compare(a.size, b.size) }
	return []sorting{
		{"SUBJECT", subject},
		{"REVERSE SIZE SUBJECT", func(a, b row) int { return cmp.Or(-size(a, b), subject(a, b)) }},
		{"ARRIVAL", func(a, b row) int { return a.date.Compare(b.date) }},
	}
}

func (v *viewer) sort(s sorting) error {
	var want []string
	for _, r := range slices.SortedStableFunc(slices.Values(v.rows), s.compare) {
		want = append(want, fmt.Sprint(r.uid))
	}
	got, err := v.told("UID SORT ("+s.text+") UTF-8 ALL", "* SORT")
	if err == nil && !slices.Equal(strings.Fields(got), want) {
		err = v.differs("SORT "+s.text, got, want)
	}
	return err
}

// thread: messages with the same subject are one thread.
func (v *viewer) thread() error {
	want := map[string][]string{}
	for _, r := range v.rows {
		want[r.subject] = append(want[r.subject], fmt.Sprint(r.uid))
	}
	got, err := v.told("UID THREAD ORDEREDSUBJECT UTF-8 ALL", "* THREAD")
	if err != nil {
		return err
	}
	var threads []string
	for _, t := range topLevel(got) {
		uids := regexp.MustCompile(`\d+`).FindAllString(t, -1)
		slices.SortFunc(uids, func(a, b string) int { return cmp.Compare(atou(a), atou(b)) })
		threads = append(threads, strings.Join(uids, " "))
	}
	var groups []string
	for g := range maps.Values(want) {
		groups = append(groups, strings.Join(g, " "))
	}
	slices.Sort(threads)
	slices.Sort(groups)
	if !slices.Equal(threads, groups) {
		return v.differs("THREAD", threads, groups)
	}
	return nil
}

// topLevel are the lists of a list of lists.
func topLevel(text string) (out []string) {
	depth, from := 0, 0
	for i, c := range text {
		switch c {
		case '(':
			if depth++; depth == 1 {
				from = i
			}
		case ')':
			if depth--; depth == 0 {
				out = append(out, text[from:i+1])
			}
		}
	}
	return out
}

func (v *viewer) changedSince(ch chooser) error {
	if len(v.rows) == 0 {
		return nil
	}
	since := v.rows[ch.intn(len(v.rows))].modseq
	command := fmt.Sprintf("UID FETCH 1:* (FLAGS) (CHANGEDSINCE %d)", since)
	if _, err := v.do(command, whole); err != nil {
		return err
	}
	var got, want []uint32
	for _, line := range v.kept {
		if r := parseRow(line); fetchLine.MatchString(line) {
			got = append(got, r.uid)
		}
	}
	for _, r := range v.rows {
		if r.modseq > since {
			want = append(want, r.uid)
		}
	}
	if !slices.Equal(got, want) {
		return v.differs(command, got, want)
	}
	return nil
}

func (v *viewer) status() error {
	var unseen, deleted, size uint64
	for _, r := range v.rows {
		size += r.size
		if !r.has(`\Seen`) {
			unseen++
		}
		if r.has(`\Deleted`) {
			deleted++
		}
	}
	want := fmt.Sprintf("MESSAGES %d UNSEEN %d DELETED %d SIZE %d", len(v.rows), unseen, deleted, size)
	got, err := v.told("STATUS INBOX (MESSAGES UNSEEN DELETED SIZE)", "* STATUS INBOX ")
	if err == nil && got != "("+want+")" {
		err = v.differs("STATUS", got, want)
	}
	return err
}

// popped: POP3 has the same messages under ids that have the same UIDs.
func (v *viewer) popped() error {
	uids, err := v.h.pop("")
	if err == nil && !slices.EqualFunc(uids, v.rows, func(uid uint32, r row) bool { return uid == r.uid }) {
		err = v.differs("POP3", uids, "the same")
	}
	return err
}

// pop is a POP3 session that lists all messages, and deletes one of them if
// command says so.
func (h *house) pop(command string) (uids []uint32, err error) {
	ctx := context.Background()
	box, err := h.acct.Open(ctx, "INBOX")
	if err != nil {
		return nil, err
	}
	defer box.Close()
	rules, err := maildrop.Default().Rules()
	if err != nil {
		return nil, err
	}
	drop, err := maildrop.Open(ctx, box, &rules)
	if err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(30 * time.Second))
	var o pop3.Options
	rules.Apply(&o)
	go func() { pop3.Run(ctx, server, drop, o); server.Close() }()
	r := bufio.NewReader(client)
	if _, err := r.ReadString('\n'); err != nil { // the greeting
		return nil, err
	}
	fmt.Fprint(client, "UIDL\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == ".\r\n" {
			break
		}
		if f := strings.Fields(line); len(f) == 2 && f[0] != "+OK" {
			var uid uint32
			_, _ = fmt.Sscanf(f[1], "%08x", &uid)
			uids = append(uids, uid)
		}
	}
	for _, c := range []string{command, "QUIT"} {
		if c == "" {
			continue
		}
		fmt.Fprintf(client, "%s\r\n", c)
		if _, err := r.ReadString('\n'); err != nil {
			return uids, err
		}
	}
	return uids, nil
}
