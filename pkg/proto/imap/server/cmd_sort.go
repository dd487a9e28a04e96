package server

import (
	"cmp"
	"context"
	"slices"
	"strings"

	imap "github.com/emersion/go-imap/v2"

	"github.com/postcote/postcote/pkg/proto/imap/wire"
)

// SORT: RFC 5256 section 3, with the criteria of RFC 5957 (SORT=DISPLAY) and
// the results of RFC 5267 section 3 (ESORT).
//
//	sort = "SORT" [SP "RETURN" SP "(" [opt *(SP opt)] ")"]
//	       SP "(" sort-criterion *(SP sort-criterion) ")" SP charset 1*(SP search-key)
func parseSort(p *parser, uid bool) runner {
	c := &sortCmd{query: query{uid: uid, stages: 2}}
	p.charset = ""
	p.SP()
	if p.Peek() != '(' {
		if p.Word() != "RETURN" {
			p.Fail("Sort criteria expected")
		}
		c.returns(p)
	}
	p.List(func() { c.criterion(p) })
	if p.Ok() && len(c.by) == 0 {
		p.Fail("Empty sort program")
	}
	p.SP()
	c.inCharset(p)
	c.keys(p, p.searchWord())
	return c
}

type sortCmd struct {
	query
	by []criterion
}

// criterion is one of the things that messages are sorted by.
type criterion struct {
	reverse bool
	header  bool                     // it stands in the header
	number  func(k *sortable) int64  // nil: a string
	text    func(k *sortable) string // nil: a number
}

// sortable is what a message can be sorted by. What its row does not say is
// asked for when it is needed.
type sortable struct {
	*Keys
	row Row
	ctx context.Context //nolint:containedctx // of the command
	mb  Mailbox
	now Snapshot // the newest: what was learned since the view was made
}

// sent is the sent date (RFC 5256 section 2.2), in seconds of Unix.
func (k *sortable) sent() int64 {
	if k.Sent.IsZero() {
		return k.arrived()
	}
	return k.Sent.Unix()
}

// arrived is INTERNALDATE, in seconds of Unix.
func (k *sortable) arrived() int64 {
	if k.row.Date.IsZero() {
		k.complete()
	}
	if k.row.Date.IsZero() {
		return 0
	}
	return k.row.Date.Unix()
}

// size is RFC822.SIZE.
func (k *sortable) size() int64 {
	if k.row.Size < 0 {
		k.complete()
	}
	return k.row.Size
}

// complete fills in what the row does not say. A message that cannot be read
// has neither a date nor a size.
func (k *sortable) complete() {
	if i := k.now.Find(k.row.UID); i < k.now.Len() {
		if r := k.now.At(i); r.UID == k.row.UID && r.Size >= 0 && !r.Date.IsZero() {
			k.row = r
			return
		}
	}
	content := k.mb.Open(k.row.UID)
	defer content.Close()
	if k.row.Size < 0 {
		k.row.Size, _ = content.Size(k.ctx)
	}
	if k.row.Date.IsZero() {
		k.row.Date, _ = content.Date(k.ctx)
	}
}

// maxCriteria bounds a sort program: more than there are says nothing more.
const maxCriteria = 16

// criterion reads ["REVERSE" SP] sort-key.
func (c *sortCmd) criterion(p *parser) {
	var by criterion
	word := p.Word()
	if word == "REVERSE" {
		by.reverse = true
		p.SP()
		word = p.Word()
	}
	by.header = word != "ARRIVAL" && word != "SIZE"
	switch word {
	case "ARRIVAL":
		by.number = (*sortable).arrived
	case "DATE":
		by.number = (*sortable).sent
	case "SIZE":
		by.number = (*sortable).size
	case "SUBJECT":
		by.text = func(k *sortable) string { return k.Subject }
	case "FROM":
		by.text = func(k *sortable) string { return k.From }
	case "TO":
		by.text = func(k *sortable) string { return k.To }
	case "CC":
		by.text = func(k *sortable) string { return k.Cc }
	case "DISPLAYFROM":
		by.text = func(k *sortable) string { return k.DisplayFrom }
	case "DISPLAYTO":
		by.text = func(k *sortable) string { return k.DisplayTo }
	default:
		p.Fail("Unknown sort criterion " + word[:min(len(word), 32)])
	}
	if c.by = append(c.by, by); len(c.by) > maxCriteria {
		p.Fail("Too many sort criteria")
	}
}

func (c *sortCmd) run(ctx context.Context, s *call) reply {
	v, rows, failed := c.find(ctx, s)
	if failed != nil {
		return *failed
	}
	s.away(func() { rows = c.sort(ctx, s, v, rows) })
	if s.stopped(ctx) {
		return none()
	}
	if c.extended {
		return c.answer(s, v, rows, ok("Sort completed."))
	}
	s.w.Raw("* SORT")
	c.writeNumbers(s, v, rows)
	return ok("Sort completed.")
}

// ranked is a message with what it is sorted by. The first is at hand, since
// it decides nearly always.
type ranked struct {
	first uint64
	row   int32
	at    int32 // where its ranks begin
}

// rank is a number, or the beginning of a string and the string: most differ
// in the first eight bytes.
type rank struct {
	n    uint64
	text string
}

// sort puts rows in the order of the sort program. Those that it says nothing
// about stay in the order of the mailbox.
func (c *sortCmd) sort(ctx context.Context, s *call, v *view, rows []int32) []int32 {
	all := make([]ranked, len(rows))
	ranks := make([]rank, len(rows)*len(c.by))
	header := slices.ContainsFunc(c.by, func(by criterion) bool { return by.header })
	c.eachSortable(ctx, s, v, rows, header, func(i int, k *sortable) {
		at := i * len(c.by)
		for b := range c.by {
			ranks[at+b] = c.by[b].rank(k)
		}
		all[i] = ranked{ranks[at].n, rows[i], int32(at)}
	})
	if ctx.Err() != nil {
		return nil
	}
	slices.SortFunc(all, func(a, b ranked) int {
		if a.first != b.first {
			if (a.first < b.first) != c.by[0].reverse {
				return -1
			}
			return 1
		}
		for i := range c.by {
			d := ranks[int(a.at)+i].compare(&ranks[int(b.at)+i])
			switch {
			case d == 0:
			case c.by[i].reverse:
				return -d
			default:
				return d
			}
		}
		return cmp.Compare(a.row, b.row)
	})
	sorted := make([]int32, len(rows))
	for i := range all {
		sorted[i] = all[i].row
	}
	return sorted
}

func (c *criterion) rank(k *sortable) rank {
	if c.number != nil {
		return rank{n: uint64(c.number(k)) ^ 1<<63} // negative numbers first
	}
	r := rank{text: c.text(k)}
	for i := range min(len(r.text), 8) {
		r.n |= uint64(r.text[i]) << (56 - 8*i)
	}
	return r
}

func (r *rank) compare(other *rank) int {
	if r.n != other.n {
		return cmp.Compare(r.n, other.n)
	}
	return strings.Compare(r.text, other.text)
}

// eachSortable calls fn for each of rows, which are ascending, with its index
// among them. A message that cannot be read, or is gone, has empty keys: it
// was found, so it has a place. So have all without header. k is valid during
// the call.
func (q *query) eachSortable(ctx context.Context, s *call, v *view, rows []int32, header bool, fn func(i int, k *sortable)) {
	q.told.stage = 1
	uid := func(at int) uint32 { return v.pin.At(int(rows[at])).UID }
	var failed error
	var empty Keys
	k := sortable{ctx: ctx, mb: v.mb}
	for at := 0; at < len(rows) && ctx.Err() == nil; q.told.at(at, len(rows)) {
		to := min(at+keysStep, len(rows))
		k.now = v.mb.Snapshot()
		upTo := func(end int, keys *Keys) {
			for ; at < end && ctx.Err() == nil; at++ {
				k.Keys = keys
				k.row, _ = v.row(int(rows[at]))
				fn(at, &k)
			}
		}
		if header {
			var uids wire.Set
			for i := at; i < to; i++ {
				uids.Add(uid(i))
			}
			err := s.keys(ctx, v.mb, uids.UIDs(), func(found uint32, keys *Keys) bool {
				next := at
				for next < to && uid(next) < found {
					next++
				}
				upTo(next, &empty)
				if next < to && uid(next) == found {
					upTo(next+1, keys)
				}
				return ctx.Err() == nil
			})
			failed = cmp.Or(failed, err)
		}
		upTo(to, &empty)
	}
	if failed != nil {
		s.logFailure(s.verb, failed)
	}
}

// keysStep is of how many messages the keys are asked for at a time: enough
// for a mailbox to read several at once, and few enough to be told of.
const keysStep = 1024

// keyed is the part of Details that is needed here.
type keyed interface {
	Keys(ctx context.Context) (Keys, error)
}

// keys are those of many messages: at once where the mailbox can do that.
func (s *call) keys(ctx context.Context, mb Mailbox, uids imap.UIDSet, fn func(uid uint32, k *Keys) bool) error {
	if sorter, able := mb.(Sorter); able {
		return sorter.EachKeys(ctx, uids, fn)
	}
	var first error
	for _, g := range uids {
		for uid := g.Start; ; uid++ {
			content := mb.Open(uint32(uid))
			if d, able := content.(keyed); able {
				k, err := d.Keys(ctx)
				if err == nil && !fn(uint32(uid), &k) {
					_ = content.Close()
					return first
				}
				first = cmp.Or(first, err)
			}
			_ = content.Close()
			if uid == g.Stop {
				break
			}
		}
	}
	return first
}
