package cache

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/postcote/postcote/pkg/platform/message/digest"
)

// The files are hostile input whatever their checksums say: these targets
// repair the checksums of what they mutate.

func FuzzEntry(f *testing.F) {
	w := newWorld(f, 9)
	for uid := range w.text {
		m := &maker{}
		file, _, _ := w.Open(context.Background(), uid, nil)
		for _, d := range []depth{heads, full} {
			data, _, err := m.append(nil, uid, file, d)
			must(f, err)
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, ok := parseEntry(data)
		if !ok {
			return
		}
		if root, ok := e.Root(); ok {
			n := 0
			for range root.Walk() {
				n++
			}
			root.Find([]int{1, 2, 1})
			if n > maxParts {
				t.Errorf("%d parts", n)
			}
		}
		if raw, ok := e.Fields("Subject"); ok {
			_ = raw
		}
		again, ok := parseEntry(e.append(nil))
		if !ok || string(again.fields) != string(e.fields) {
			t.Error("it does not read what it writes")
		}
	})
}

func FuzzColumns(f *testing.F) {
	w := newWorld(f, 9)
	for uid := range w.text {
		w.entry(uid)
	}
	w.cache.Close()
	f.Add([]byte(load(f, w.fs, "/box/"+columnsName))[columnsHeader:], uint32(0))
	f.Fuzz(func(t *testing.T, data []byte, n uint32) {
		mend(data, n)
		w := newWorld(t, 9)
		write(t, w.fs, "/box/"+columnsName, columnsMagic+"\x00\x00\x00\x00\x00\x00\x00\x00"+string(data))
		for _, c := range queries() {
			w.search(c.q)
		}
		must(t, w.cache.Keys(context.Background(), w.uids(), func(int, *digest.Keys) {}))
		w.entry(1)
		w.cache.Close()
		w.reopen()
		w.search(Query{Rel: 1})
		w.cache.Close()
	})
}

// mend makes the checksums of the first block right, and its columns such that
// they fit the data.
func mend(data []byte, n uint32) {
	if len(data) < blockHeader {
		return
	}
	le := binary.LittleEndian
	copy(data, blockMagic)
	if n > 0 {
		le.PutUint32(data[4:], n%maxRows+1)
	}
	at := blockHeader
	for col := range numColumns {
		size := int(le.Uint32(data[16+8*col:]))
		if size > len(data)-at {
			size = len(data) - at
			le.PutUint32(data[16+8*col:], uint32(size))
		}
		le.PutUint32(data[20+8*col:], sum(data[at:at+size]))
		at += size
	}
	le.PutUint32(data[80:], sum(data[:80]))
}

func FuzzEntries(f *testing.F) {
	w := newWorld(f, 3)
	for uid := range w.text {
		w.entry(uid)
	}
	w.cache.Close()
	f.Add([]byte(load(f, w.fs, "/box/"+cacheName))[cacheHeader:], int64(16), int64(1000))
	f.Fuzz(func(t *testing.T, data []byte, a, b int64) {
		w := newWorld(t, 3)
		for at := 0; at+entryHeader <= len(data); {
			size := int(binary.LittleEndian.Uint32(data[at+8:]))
			if size > len(data)-at-entryHeader || size < 0 {
				break
			}
			binary.LittleEndian.PutUint32(data[at+12:], entrySum(data[at:at+entryHeader+size]))
			at += (entryHeader + size + 7) / 8 * 8
		}
		write(t, w.fs, "/box/"+cacheName, cacheMagic+"\x00\x00\x00\x00\x00\x00\x00\x00"+string(data))
		w.place[1], w.place[2], w.place[3] = 16, a, b
		for uid := range w.text {
			w.entry(uid)
		}
		w.cache.Close()
	})
}
