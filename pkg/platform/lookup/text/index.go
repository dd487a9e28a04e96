package text

import (
	"encoding/binary"
	"hash/maphash"
	"iter"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// Index holds keys and values in one piece of memory, with 9 to 16 bytes more
// for an entry. It does not change once it is built and is safe for
// concurrent use.
type Index struct {
	seed  maphash.Seed
	data  []byte   // key length, key, value length, value of each entry
	slots []uint32 // where entries start, plus 1; 0: free. A power of two.
	tags  []byte   // of each slot, a byte of the hash: most keys that are not there end at it
	count int
}

// maxData is what an offset of 32 bits reaches.
const maxData = 1<<32 - 2

// NewIndex is empty; size is how many bytes of entries are expected.
func NewIndex(size int64) *Index {
	return &Index{seed: maphash.MakeSeed(), data: make([]byte, 0, min(max(size, 0), maxData)), slots: make([]uint32, 16), tags: make([]byte, 16)}
}

// Add enters a key; false, and nothing is changed, when it is there already.
// Errors: fail.Invalid when there is no more room.
func (x *Index) Add(key, value []byte) (bool, error) {
	if len(x.data)+len(key)+len(value)+2*binary.MaxVarintLen32 > maxData {
		return false, fail.New(fail.Invalid, "the table is larger than 4 GiB")
	}
	hash := maphash.Bytes(x.seed, key)
	slot, found := x.find(hash, string(key))
	if found {
		return false, nil
	}
	x.slots[slot], x.tags[slot] = uint32(len(x.data))+1, tag(hash)
	x.data = binary.AppendUvarint(x.data, uint64(len(key)))
	x.data = append(x.data, key...)
	x.data = binary.AppendUvarint(x.data, uint64(len(value)))
	x.data = append(x.data, value...)
	if x.count++; x.count*4 > len(x.slots)*3 {
		x.grow()
	}
	return true, nil
}

// find returns the slot of a key, or the free one where it belongs.
func (x *Index) find(hash uint64, key string) (slot int, found bool) {
	mask := len(x.slots) - 1
	for slot = int(hash) & mask; x.slots[slot] != 0; slot = (slot + 1) & mask {
		if x.tags[slot] != tag(hash) {
			continue
		}
		if k, _ := x.part(x.slots[slot] - 1); string(k) == key {
			return slot, true
		}
	}
	return slot, false
}

func tag(hash uint64) byte { return byte(hash >> 56) }

// part returns the text that starts at an offset, and where it ends.
func (x *Index) part(at uint32) (text []byte, end uint32) {
	n, w := binary.Uvarint(x.data[at:])
	start := at + uint32(w)
	end = start + uint32(n)
	return x.data[start:end], end
}

func (x *Index) grow() {
	x.slots, x.tags = make([]uint32, 2*len(x.slots)), make([]byte, 2*len(x.slots))
	mask := len(x.slots) - 1
	for at := uint32(0); int(at) < len(x.data); {
		key, end := x.part(at)
		hash := maphash.Bytes(x.seed, key)
		slot := int(hash) & mask
		for x.slots[slot] != 0 {
			slot = (slot + 1) & mask
		}
		x.slots[slot], x.tags[slot] = at+1, tag(hash)
		_, at = x.part(end)
	}
}

// Get returns the value of a key.
func (x *Index) Get(key string) (string, bool) {
	slot, found := x.find(maphash.String(x.seed, key), key)
	if !found {
		return "", false
	}
	_, end := x.part(x.slots[slot] - 1)
	// A copy: the answer must not keep the whole table in memory.
	value, _ := x.part(end)
	return string(value), true
}

// Len is how many entries there are.
func (x *Index) Len() int { return x.count }

// All yields the entries in the order in which they were added.
func (x *Index) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for at := uint32(0); int(at) < len(x.data); {
			key, end := x.part(at)
			value, next := x.part(end)
			if !yield(string(key), string(value)) {
				return
			}
			at = next
		}
	}
}
