package thread

import (
	"cmp"
	"slices"
)

// grove is threads on their way to the answer: RFC 5256 section 3, steps 2 to
// 6. Its items are the messages by number and, behind them, dummies, which are
// roots only.
type grove struct {
	sent   []int64
	parent []int32 // by item
	gone   []bool  // by dummy: has no children any more
	first  []int32 // by dummy: the child that was sent first
	roots  []int32
}

// newGrove is steps 2 to 4: what is left when dummies give their children to
// the next real message above them, or to the dummy at the top when that has
// several. The roots are in the order of step 4.
func newGrove(sent []int64, l *links) *grove {
	g := &grove{sent: sent, parent: make([]int32, len(sent))}
	below := children(len(l.nodes), func(n int) int32 { return l.nodes[n].parent })
	type visit struct{ node, anchor int32 }
	var todo []visit
	for i := range l.nodes {
		if l.nodes[i].parent != none {
			continue
		}
		anchor := none
		if l.nodes[i].message == none {
			anchor = g.dummy()
		}
		todo = append(todo[:0], visit{int32(i), anchor})
		for len(todo) > 0 {
			v := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if m := l.nodes[v.node].message; m != none {
				g.parent[m] = v.anchor
				v.anchor = m
			}
			for _, kid := range below.of(v.node) {
				todo = append(todo, visit{kid, v.anchor})
			}
		}
	}
	g.plant()
	return g
}

func (g *grove) numMessages() int32 { return int32(len(g.sent)) }

func (g *grove) isDummy(item int32) bool { return item >= g.numMessages() }

func (g *grove) dummy() int32 {
	g.parent = append(g.parent, none)
	g.gone = append(g.gone, false)
	g.first = append(g.first, none)
	return int32(len(g.parent) - 1)
}

// plant finds the roots: a dummy with one child gives way to it, one without
// any goes.
func (g *grove) plant() {
	numKids := make([]int32, len(g.first))
	for m := range g.numMessages() {
		if p := g.parent[m]; p != none && g.isDummy(p) {
			numKids[p-g.numMessages()]++
		}
	}
	for m := range g.numMessages() {
		if p := g.parent[m]; p != none && g.isDummy(p) && numKids[p-g.numMessages()] == 1 {
			g.parent[m] = none
		}
	}
	for d, n := range numKids {
		g.gone[d] = n < 2
	}
	g.sortRoots()
}

// before orders messages by sent date; those of the same second stay in the
// order of the mailbox.
func (g *grove) before(a, b int32) int {
	return cmp.Or(cmp.Compare(g.sent[a], g.sent[b]), cmp.Compare(a, b))
}

// sortRoots orders what has no parent by sent date, a dummy by that of its
// first child (step 4, and step 6 for the roots).
func (g *grove) sortRoots() {
	for i := range g.first {
		g.first[i] = none
	}
	for m := range g.numMessages() {
		if p := g.parent[m]; p != none && g.isDummy(p) {
			if first := &g.first[p-g.numMessages()]; *first == none || g.before(m, *first) < 0 {
				*first = m
			}
		}
	}
	g.roots = g.roots[:0]
	for item := range int32(len(g.parent)) {
		if g.parent[item] == none && (!g.isDummy(item) || !g.gone[item-g.numMessages()]) {
			g.roots = append(g.roots, item)
		}
	}
	slices.SortFunc(g.roots, func(a, b int32) int { return g.before(g.face(a), g.face(b)) })
}

// face is the message that stands for a root.
func (g *grove) face(root int32) int32 {
	if g.isDummy(root) {
		return g.first[root-g.numMessages()]
	}
	return root
}

// mergeSubjects is step 5: threads with the same base subject become one.
func (g *grove) mergeSubjects(subjects []string, reply []bool) {
	table := make(map[string]int32, len(g.roots))
	for _, cur := range g.roots { // (B)
		s := subjects[g.face(cur)]
		if s == "" {
			continue
		}
		old, known := table[s]
		if !known || !g.isDummy(old) && (g.isDummy(cur) || reply[old] && !reply[cur]) {
			table[s] = cur
		}
	}
	into := map[int32]int32{}     // dummies whose children went to another
	for _, cur := range g.roots { // (C)
		s := subjects[g.face(cur)]
		if s == "" || g.parent[cur] != none {
			continue
		}
		switch old := table[s]; {
		case old == cur:
		case g.isDummy(cur):
			into[cur] = old
			g.gone[cur-g.numMessages()] = true
		case g.isDummy(old), reply[cur] && !reply[old]:
			g.parent[cur] = old
		default:
			both := g.dummy()
			g.parent[cur], g.parent[old] = both, both
			table[s] = both
		}
	}
	if len(into) > 0 {
		for m, p := range g.parent[:g.numMessages()] {
			if to, moved := into[p]; moved {
				g.parent[m] = to
			}
		}
	}
	g.sortRoots()
}

// bySent is step 6 and the answer.
func (g *grove) bySent() *Forest {
	f := &Forest{messages: len(g.sent), roots: g.roots}
	f.below = children(len(g.parent), func(i int) int32 { return g.parent[i] })
	for item := range int32(len(g.parent)) {
		slices.SortFunc(f.below.of(item), g.before)
	}
	return f
}

// byArrival orders the threads by the message that arrived last in each. What
// arrived in the same second stays in the order of sent dates.
func (g *grove) byArrival(arrived []int64) *Forest {
	f := g.bySent()
	latest := make(map[int32]int64, len(f.roots))
	var todo []int32
	for _, root := range f.roots {
		last := int64(-1 << 63)
		todo = append(todo[:0], root)
		for len(todo) > 0 {
			item := todo[len(todo)-1]
			todo = append(todo[:len(todo)-1], f.below.of(item)...)
			if !g.isDummy(item) {
				last = max(last, arrived[item])
			}
		}
		latest[root] = last
	}
	slices.SortStableFunc(f.roots, func(a, b int32) int { return cmp.Compare(latest[a], latest[b]) })
	return f
}

// bySubject is ORDEREDSUBJECT: the first message of a subject is the root, all
// others are its children.
func (t *Threader) bySubject() *Forest {
	g := &grove{sent: t.sent, parent: make([]int32, len(t.sent))}
	all := make([]int32, len(t.sent))
	for i := range all {
		all[i] = int32(i)
	}
	slices.SortFunc(all, g.before)
	table := make(map[string]int32, len(all))
	for _, m := range all {
		root, known := table[t.subjects[m]]
		if !known {
			table[t.subjects[m]] = m
			root = none
		}
		g.parent[m] = root
	}
	g.sortRoots()
	return g.bySent()
}
