package index

import (
	"encoding/binary"
	"iter"
	"strconv"
	"strings"
)

// Most base names are those of Dovecot and of us:
// <sec>.M<usec>P<pid>.<host>,S=<size>,W=<vsize>. Their numbers and the number
// of the host take some 13 bytes; the sizes are in the record. Other names are
// kept as they are. An entry is a kind, the name, and the info text if there
// is one.
const (
	nameCompact = 1 << iota // numbers; else length and bytes
	nameInfo                // info text follows
)

// appendName appends the entry of x's name.
func appendName(dst []byte, x *Record, t *interner) []byte {
	kind := byte(0)
	if x.Info != "" {
		kind |= nameInfo
	}
	if n, ok := parseName(x.Name, x.Size, x.VSize); ok {
		if host, ok := t.host(n.host); ok {
			dst = append(dst, kind|nameCompact)
			dst = binary.AppendUvarint(dst, n.sec)
			dst = binary.AppendUvarint(dst, n.usec)
			dst = binary.AppendUvarint(dst, n.pid)
			dst = binary.AppendUvarint(dst, uint64(host))
			return appendInfo(dst, x.Info)
		}
	}
	dst = append(dst, kind)
	dst = binary.AppendUvarint(dst, uint64(len(x.Name)))
	dst = append(dst, x.Name...)
	return appendInfo(dst, x.Info)
}

func appendInfo(dst []byte, info string) []byte {
	if info == "" {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(info)))
	return append(dst, info...)
}

type numbers struct {
	sec, usec, pid uint64
	host           string
}

// parseName takes a standard name apart; ok only if render gives it back.
func parseName(name string, size, vsize int64) (n numbers, ok bool) {
	if size < 0 || vsize < 0 {
		return n, false
	}
	var buf [48]byte
	tail := appendSizes(buf[:0], size, vsize)
	if len(name) <= len(tail) || name[len(name)-len(tail):] != string(tail) {
		return n, false
	}
	rest := name[:len(name)-len(tail)]
	var ok1, ok2, ok3 bool
	n.sec, rest, ok1 = cutNumber(rest, ".M")
	n.usec, rest, ok2 = cutNumber(rest, "P")
	n.pid, n.host, ok3 = cutNumber(rest, ".")
	return n, ok1 && ok2 && ok3 && n.host != ""
}

// cutNumber reads a number as render writes it, and what must follow it.
func cutNumber(s, sep string) (n uint64, rest string, ok bool) {
	i := 0
	for i < len(s) && i < 18 && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + uint64(s[i]-'0')
		i++
	}
	if i == 0 || i > 1 && s[0] == '0' {
		return 0, "", false
	}
	rest, ok = strings.CutPrefix(s[i:], sep)
	return n, rest, ok
}

func appendSizes(b []byte, size, vsize int64) []byte {
	b = append(b, ",S="...)
	b = strconv.AppendInt(b, size, 10)
	b = append(b, ",W="...)
	return strconv.AppendInt(b, vsize, 10)
}

// render appends the name that was taken apart.
func (n numbers) render(b []byte, size, vsize int64) []byte {
	b = strconv.AppendUint(b, n.sec, 10)
	b = append(b, ".M"...)
	b = strconv.AppendUint(b, n.usec, 10)
	b = append(b, 'P')
	b = strconv.AppendUint(b, n.pid, 10)
	b = append(b, '.')
	b = append(b, n.host...)
	return appendSizes(b, size, vsize)
}

// readName reads the entry at the start of b for a record with these sizes. An
// entry that makes no sense gives empty strings.
func readName(b []byte, size, vsize int64, hosts []string) (name, info string) {
	var buf []byte
	n, i := nameBytes(b, &buf, size, vsize, hosts)
	return string(n), string(i)
}

// nameBytes is readName without copies, but for a name that is put together in
// buf.
func nameBytes(b []byte, buf *[]byte, size, vsize int64, hosts []string) (name, info []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	d := decoder{b: b[1:]}
	if b[0]&nameCompact != 0 {
		n := numbers{sec: d.uint(), usec: d.uint(), pid: d.uint()}
		host := d.uint()
		if d.bad || host >= uint64(len(hosts)) || size < 0 || vsize < 0 {
			return nil, nil
		}
		n.host = hosts[host]
		*buf = n.render((*buf)[:0], size, vsize)
		name = *buf
	} else {
		name = d.bytes(maxNameLen)
	}
	if b[0]&nameInfo != 0 {
		info = d.bytes(maxNameLen)
	}
	if d.bad {
		return nil, nil
	}
	return name, info
}

// Name is a message with its names as bytes, which are valid until the next.
type Name struct {
	Record        // without names
	Base   []byte // none when the record cannot be read
	Info   []byte
}

// Names yields all messages as Named does, without leaving garbage.
func (im *Image) Names() iter.Seq2[int, *Name] {
	l := im.list()
	return func(yield func(int, *Name) bool) {
		var x Name
		var buf []byte
		for ci, c := range l.chunks {
			data, err := c.load()
			for j := range c.n {
				x = Name{}
				if err == nil {
					x.Record = rec(data[j*recordSize : (j+1)*recordSize]).get()
					arena, off := data[c.n*recordSize:], rec(data[j*recordSize:]).nameOff()
					x.Base, x.Info = nameBytes(arena[min(int(off), len(arena)):], &buf, x.Size, x.VSize, im.tab.hosts)
				}
				if !yield(int(l.starts[ci])+j, &x) {
					return
				}
			}
		}
	}
}

// Lookup finds the messages that have one of some names, in their order.
func (im *Image) Lookup(names []string) []Record {
	if len(names) == 0 {
		return nil
	}
	want := newWanted(names)
	var out []Record
	l := im.list()
	for _, c := range l.chunks {
		data, err := c.load()
		if err != nil {
			continue
		}
		arena := data[c.n*recordSize:]
		for j := range c.n {
			r := rec(data[j*recordSize : (j+1)*recordSize])
			if !want.maybe(r, arena) {
				continue
			}
			if x := c.at(data, j, im.tab.hosts); want.names[x.Name] {
				out = append(out, x)
			}
		}
	}
	return out
}

// wanted are names that are looked for, with what tells most others from them
// without taking them apart.
type wanted struct {
	names map[string]bool
	sizes map[int64]bool // of those that may be kept as numbers
	spots [1 << 12]bool
}

// spot sums up two places at which names differ.
func spot[T string | []byte](name T) int {
	n := len(name)
	if n < 8 {
		return 0
	}
	at := func(i int) uint32 {
		return uint32(name[i]) | uint32(name[i+1])<<8 | uint32(name[i+2])<<16 | uint32(name[i+3])<<24
	}
	return int((at(n-4) + at(n/4)*0x9e3779b1) * 0x85ebca6b >> 20)
}

func newWanted(names []string) *wanted {
	w := &wanted{names: map[string]bool{}, sizes: map[int64]bool{}}
	for _, n := range names {
		w.names[n] = true
		w.spots[spot(n)] = true
		if i := strings.LastIndex(n, ",S="); i >= 0 {
			digits, _, _ := strings.Cut(n[i+3:], ",")
			if size, err := strconv.ParseInt(digits, 10, 64); err == nil {
				w.sizes[size] = true
			}
		}
	}
	return w
}

func (w *wanted) maybe(r rec, arena []byte) bool {
	off := int(r.nameOff())
	if off >= len(arena) {
		return false
	}
	if arena[off]&nameCompact != 0 {
		return w.sizes[r.size()]
	}
	d := decoder{b: arena[off+1:]}
	name := d.bytes(maxNameLen)
	return w.spots[spot(name)] && w.names[string(name)]
}

const maxNameLen = 255

// decoder reads numbers and strings; after the first that is not there, all
// are zero and bad is set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() { d.bad, d.b = true, nil }

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

// uid reads a number that must fit a UID.
func (d *decoder) uid() uint32 {
	v := d.uint()
	if v > 1<<32-1 {
		d.fail()
		return 0
	}
	return uint32(v)
}

// ranges reads n ranges of UIDs, in ascending order.
func (d *decoder) ranges(n uint64, use func(Range)) {
	last := uint64(0)
	for ; n > 0 && !d.bad; n-- {
		first := last + d.uint()
		end := first + d.uint()
		if d.bad || end > 1<<32-1 || end < first || first < last {
			d.fail()
			return
		}
		use(Range{uint32(first), uint32(end)})
		last = end
	}
}

func (d *decoder) text(max int) string { return string(d.bytes(max)) }

func (d *decoder) bytes(max int) []byte {
	n := d.uint()
	if n > uint64(max) || n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}
