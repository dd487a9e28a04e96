package thread

import (
	"fmt"
	"slices"
	"strings"
)

// tree is a message, or a dummy (n is 0), as the words of RFC 5256 have it.
type tree struct {
	n      int
	msg    Message
	parent *tree
	kids   []*tree
}

func (t *tree) below(other *tree) bool {
	for ; t != nil; t = t.parent {
		if t == other {
			return true
		}
	}
	return false
}

func (t *tree) detach() {
	if t.parent != nil {
		t.parent.kids = slices.DeleteFunc(t.parent.kids, func(k *tree) bool { return k == t })
		t.parent = nil
	}
}

func (t *tree) attach(kid *tree) {
	kid.detach()
	kid.parent = t
	t.kids = append(t.kids, kid)
}

// face is the message itself, or the first child of a dummy by sent date.
func (t *tree) face() *tree {
	if t.n > 0 {
		return t
	}
	return slices.MinFunc(t.kids, bySent)
}

func bySent(a, b *tree) int {
	a, b = a.face(), b.face()
	if a.msg.Sent != b.msg.Sent {
		return int(a.msg.Sent - b.msg.Sent)
	}
	return a.n - b.n
}

// naive makes threads by following the RFC one sentence after the other.
func naive(alg Algorithm, msgs []Message) string {
	var root *tree
	if alg == OrderedSubject {
		root = naiveSubjects(msgs)
	} else {
		root = naiveLinks(msgs)
		naivePrune(root, true)
		slices.SortFunc(root.kids, bySent)
		if alg == References {
			naiveMerge(root)
		}
	}
	naiveSort(root)
	if alg == Refs {
		slices.SortStableFunc(root.kids, func(a, b *tree) int { return int(a.latest() - b.latest()) })
	}
	var out strings.Builder
	for _, k := range root.kids {
		k.write(&out)
	}
	return out.String()
}

func naiveSubjects(msgs []Message) *tree {
	all := []*tree{}
	for i, m := range msgs {
		all = append(all, &tree{n: i + 1, msg: m})
	}
	slices.SortFunc(all, bySent)
	root, table := &tree{}, map[string]*tree{}
	for _, t := range all {
		s, _ := t.subject()
		if first := table[s]; first != nil {
			first.attach(t)
			continue
		}
		table[s] = t
		root.attach(t)
	}
	return root
}

func (t *tree) subject() (string, bool) { return t.msg.Subject, t.msg.Reply }

func naiveLinks(msgs []Message) *tree {
	ids := map[uint64]*tree{}
	var all []*tree
	get := func(id uint64) *tree {
		if ids[id] == nil {
			ids[id] = &tree{}
			all = append(all, ids[id])
		}
		return ids[id]
	}
	for i, m := range msgs {
		id := m.ID
		if id == 0 || ids[id] != nil && ids[id].n > 0 {
			id = uint64(1<<40 + i)
		}
		own := get(id)
		own.n, own.msg = i+1, m
		refs := m.References
		for j := 1; j < len(refs); j++ {
			parent, child := get(refs[j-1]), get(refs[j])
			if child.parent == nil && !parent.below(child) {
				parent.attach(child)
			}
		}
		own.detach()
		if len(refs) > 0 {
			if last := get(refs[len(refs)-1]); !last.below(own) {
				last.attach(own)
			}
		}
	}
	root := &tree{}
	for _, t := range all {
		if t.parent == nil {
			root.attach(t)
		}
	}
	return root
}

func naivePrune(t *tree, isRoot bool) {
	for _, k := range slices.Clone(t.kids) {
		naivePrune(k, false)
		if k.n > 0 || isRoot && len(k.kids) > 1 {
			continue
		}
		for _, grandkid := range slices.Clone(k.kids) {
			t.attach(grandkid)
		}
		k.detach()
	}
}

func naiveMerge(root *tree) {
	table := map[string]*tree{}
	reply := func(t *tree) bool { _, r := t.subject(); return r }
	for _, t := range root.kids {
		s, _ := t.face().subject()
		if s == "" {
			continue
		}
		old := table[s]
		if old == nil || old.n > 0 && (t.n == 0 || reply(old) && !reply(t)) {
			table[s] = t
		}
	}
	for _, t := range slices.Clone(root.kids) {
		s, _ := t.face().subject()
		old := table[s]
		switch {
		case s == "", old == t, t.parent != root:
		case t.n == 0 && old.n == 0:
			for _, k := range slices.Clone(t.kids) {
				old.attach(k)
			}
			t.detach()
		case old.n == 0, reply(t) && !reply(old):
			old.attach(t)
		default:
			both := &tree{}
			root.attach(both)
			both.attach(t)
			both.attach(old)
			table[s] = both
		}
	}
}

func naiveSort(t *tree) {
	for _, k := range t.kids {
		naiveSort(k)
	}
	slices.SortFunc(t.kids, bySent)
}

func (t *tree) latest() int64 {
	last := int64(-1)
	if t.n > 0 {
		last = t.msg.Arrived
	}
	for _, k := range t.kids {
		last = max(last, k.latest())
	}
	return last
}

func (t *tree) write(out *strings.Builder) {
	out.WriteString("(")
	for t.n > 0 {
		fmt.Fprint(out, t.n)
		if len(t.kids) > 0 {
			out.WriteString(" ")
		}
		if len(t.kids) != 1 {
			break
		}
		t = t.kids[0]
	}
	for _, k := range t.kids {
		k.write(out)
	}
	out.WriteString(")")
}
