package index

import (
	"encoding/binary"
	"slices"
	"strings"
)

// Caps on what one mailbox may define.
const (
	MaxKeywords = 1000 // keywords of a mailbox
	maxSets     = 1<<24 - 1
	maxHosts    = 1000 // hosts in message names; further names are kept whole
	maxText     = 255  // bytes of a keyword or host
)

// tables are the strings that records refer to by number. They only grow, and
// the slices are never changed in place: an Image keeps the lengths it knew.
type tables struct {
	keywords []string
	sets     [][]uint16 // sorted keyword numbers; set 0 is empty
	hosts    []string
	names    []([]string) // the keyword names of each set
}

// interner finds the number of a string or set, adding it when it is new. It
// belongs to the writer.
type interner struct {
	tables
	keywordAt map[string]int // lower case
	setAt     map[string]uint32
	hostAt    map[string]int
}

func newInterner(t tables) *interner {
	in := &interner{tables: t, keywordAt: map[string]int{}, setAt: map[string]uint32{}, hostAt: map[string]int{}}
	for i, k := range t.keywords {
		in.keywordAt[strings.ToLower(k)] = i
	}
	if len(in.sets) == 0 {
		in.sets, in.names = [][]uint16{nil}, [][]string{nil}
	}
	for i, s := range in.sets {
		in.setAt[setKey(s)] = uint32(i)
	}
	for i, h := range t.hosts {
		in.hostAt[h] = i
	}
	return in
}

func setKey(s []uint16) string {
	b := make([]byte, 0, 2*len(s))
	for _, k := range s {
		b = binary.LittleEndian.AppendUint16(b, k)
	}
	return string(b)
}

func (in *interner) host(h string) (int, bool) {
	i, ok := in.hostAt[h]
	if !ok && len(in.hosts) < maxHosts && len(h) <= maxText {
		i, ok = len(in.hosts), true
		h = strings.Clone(h) // it is a part of a file's name, and that of all names of a folder
		in.hosts = append(in.hosts, h)
		in.hostAt[h] = i
	}
	return i, ok
}

// keyword returns the number of a keyword whatever its case.
func (in *interner) keyword(name string) (int, bool) {
	key := strings.ToLower(name)
	i, ok := in.keywordAt[key]
	if !ok && len(in.keywords) < MaxKeywords && len(name) <= maxText {
		i, ok = len(in.keywords), true
		in.keywords = append(in.keywords, strings.Clone(name))
		in.keywordAt[key] = i
	}
	return i, ok
}

// changeSet returns set s with some keywords added and others removed.
func (in *interner) changeSet(s uint32, add, remove []uint16) uint32 {
	if len(add) == 0 && len(remove) == 0 {
		return s
	}
	var old []uint16
	if int(s) < len(in.sets) {
		old = in.sets[s]
	}
	out := make([]uint16, 0, len(old)+len(add))
	for _, k := range old {
		if !slices.Contains(remove, k) {
			out = append(out, k)
		}
	}
	for _, k := range add {
		if int(k) < len(in.keywords) && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return in.set(out)
}

// set returns the number of a sorted set.
func (in *interner) set(ids []uint16) uint32 {
	key := setKey(ids)
	if i, ok := in.setAt[key]; ok {
		return i
	}
	if len(in.sets) >= maxSets {
		return 0
	}
	i := uint32(len(in.sets))
	in.sets = append(in.sets, ids)
	in.names = append(in.names, in.namesOf(ids))
	in.setAt[key] = i
	return i
}

func (t *tables) namesOf(ids []uint16) []string {
	var out []string
	for _, k := range ids {
		if int(k) < len(t.keywords) {
			out = append(out, t.keywords[k])
		}
	}
	return out
}
