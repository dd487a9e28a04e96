package thread

import "strconv"

// Forest is messages in threads. Items are the messages by number, counted
// from 0 in the order they were added, and dummies behind them.
type Forest struct {
	messages int
	roots    []int32
	below    lists
}

// Append appends the threads as they stand in the answer to THREAD (RFC 5256
// section 5, 1*thread-list), with number giving the numbers of messages.
func (f *Forest) Append(dst []byte, number func(message int) uint32) []byte {
	path := [][]int32{f.roots} // siblings that are still to come, by depth
	for {
		top := len(path) - 1
		switch {
		case len(path[top]) > 0:
			item := path[top][0]
			path[top] = path[top][1:]
			var kids []int32
			dst, kids = f.line(append(dst, '('), item, number)
			path = append(path, kids)
		case top == 0:
			return dst
		default:
			dst = append(dst, ')')
			path = path[:top]
		}
	}
}

// line appends an item and those that follow, each the only child of the one
// before it. It returns the children of the last, several or none.
func (f *Forest) line(dst []byte, item int32, number func(message int) uint32) ([]byte, []int32) {
	if int(item) >= f.messages {
		return dst, f.below.of(item)
	}
	for {
		dst = strconv.AppendUint(dst, uint64(number(int(item))), 10)
		kids := f.below.of(item)
		if len(kids) == 0 {
			return dst, nil
		}
		dst = append(dst, ' ')
		if len(kids) > 1 {
			return dst, kids
		}
		item = kids[0]
	}
}

// lists is the children of every item, in one piece of memory.
type lists struct{ from, all []int32 }

func (l lists) of(item int32) []int32 { return l.all[l.from[item]:l.from[item+1]] }

// children makes lists of n items.
func children(n int, parent func(i int) int32) lists {
	l := lists{from: make([]int32, n+2)}
	for i := range n {
		if p := parent(i); p != none {
			l.from[p+2]++
		}
	}
	for i := range n {
		l.from[i+2] += l.from[i+1]
	}
	l.all = make([]int32, l.from[n+1])
	for i := range n {
		if p := parent(i); p != none {
			l.all[l.from[p+1]] = int32(i)
			l.from[p+1]++
		}
	}
	return l
}
