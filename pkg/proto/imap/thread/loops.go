package thread

// loops finds the root of a node in a forest that changes, in logarithmic
// time on average over all operations: walking up would be quadratic for
// somebody who sends a long chain of messages that refer to each other.
//
// It is the link-cut forest of Sleator and Tarjan. Every path that was looked
// at last is a splay tree, ordered by depth; up leads from the root of a splay
// tree to the node above its path.
type loops struct{ nodes []splay }

type splay struct{ up, left, right int32 }

func (l *loops) grow(n int) { l.nodes = make([]splay, 0, n) }

// add adds a tree of one node.
func (l *loops) add() { l.nodes = append(l.nodes, splay{none, none, none}) }

// link puts the tree of child, its root, below parent, which is in another.
func (l *loops) link(child, parent int32) {
	l.access(child)
	l.nodes[child].up = parent
}

// cut makes a node that has a parent a root.
func (l *loops) cut(child int32) {
	l.access(child)
	above := l.nodes[child].left
	l.nodes[child].left = none
	l.nodes[above].up = none
}

// root is the root of the tree that n is in.
func (l *loops) root(n int32) int32 {
	l.access(n)
	for l.nodes[n].left != none {
		n = l.nodes[n].left
	}
	l.splay(n)
	return n
}

// access makes the path from the root to n one splay tree, with n on top and
// as its last node.
func (l *loops) access(n int32) {
	last := none
	for at := n; at != none; at = l.nodes[at].up {
		l.splay(at)
		l.nodes[at].right = last
		last = at
	}
	l.splay(n)
}

// isTop reports whether n is the root of its splay tree.
func (l *loops) isTop(n int32) bool {
	up := l.nodes[n].up
	return up == none || l.nodes[up].left != n && l.nodes[up].right != n
}

func (l *loops) splay(n int32) {
	for !l.isTop(n) {
		up := l.nodes[n].up
		if !l.isTop(up) {
			if (l.nodes[up].left == n) == (l.nodes[l.nodes[up].up].left == up) {
				l.rotate(up)
			} else {
				l.rotate(n)
			}
		}
		l.rotate(n)
	}
}

// rotate lifts n above its parent in the splay tree.
func (l *loops) rotate(n int32) {
	up := l.nodes[n].up
	top := l.nodes[up].up
	if !l.isTop(up) {
		if l.nodes[top].left == up {
			l.nodes[top].left = n
		} else {
			l.nodes[top].right = n
		}
	}
	var moved int32
	if l.nodes[up].left == n {
		moved = l.nodes[n].right
		l.nodes[up].left, l.nodes[n].right = moved, up
	} else {
		moved = l.nodes[n].left
		l.nodes[up].right, l.nodes[n].left = moved, up
	}
	if moved != none {
		l.nodes[moved].up = up
	}
	l.nodes[up].up, l.nodes[n].up = n, top
}
