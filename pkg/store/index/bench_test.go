package index

import (
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
)

const big = 100_000

func bigIndex(b *testing.B) (*Index, disk.FS, string) {
	b.Helper()
	dir := b.TempDir() + "/i"
	x, err := Create(disk.OS(), dir, 1, Meta{UIDValidity: 7}, "", nil)
	must(b, err)
	batch := x.Begin()
	for uid := uint32(1); uid <= big; uid++ {
		r := message(uid)
		r.ModSeq = batch.ModSeq()
		batch.Append(&r, nil)
	}
	_, err = x.Commit(batch, true)
	must(b, err)
	must(b, x.Checkpoint())
	return x, disk.OS(), dir
}

func BenchmarkOpen100k(b *testing.B) {
	x, fsys, dir := bigIndex(b)
	must(b, x.Close())
	for b.Loop() {
		y, err := Open(fsys, dir, 2)
		must(b, err)
		if y.Image().FirstWithout(flagSeen) != 0 {
			b.Fatal("not read")
		}
		b.StopTimer()
		must(b, y.Close())
		b.StartTimer()
	}
}

func BenchmarkFlagOne(b *testing.B) {
	x, _, _ := bigIndex(b)
	b.ReportAllocs()
	uid := uint32(0)
	for b.Loop() {
		uid = uid%big + 1
		batch := x.Begin()
		batch.Flags([]Range{{uid, uid}}, flagSeen, 0, nil, nil, batch.ModSeq())
		_, err := x.Commit(batch, false)
		must(b, err)
	}
}

func BenchmarkFlagAll(b *testing.B) {
	x, _, _ := bigIndex(b)
	for b.Loop() {
		batch := x.Begin()
		batch.Flags([]Range{{1, big}}, flagSeen, 0, nil, nil, batch.ModSeq())
		_, err := x.Commit(batch, false)
		must(b, err)
	}
}

func BenchmarkAppendOne(b *testing.B) {
	x, _, _ := bigIndex(b)
	for b.Loop() {
		batch := x.Begin()
		r := message(x.Image().UIDNext)
		r.ModSeq = batch.ModSeq()
		batch.Append(&r, nil)
		_, err := x.Commit(batch, false)
		must(b, err)
	}
}

func BenchmarkDiffOne(b *testing.B) {
	x, _, _ := bigIndex(b)
	old := x.Image()
	batch := x.Begin()
	batch.Flags([]Range{{big / 2, big / 2}}, flagSeen, 0, nil, nil, batch.ModSeq())
	now, err := x.Commit(batch, false)
	must(b, err)
	for b.Loop() {
		if len(Diff(old, now).Changed) != 1 {
			b.Fatal("no difference")
		}
	}
}

func BenchmarkWalk100k(b *testing.B) {
	x, _, _ := bigIndex(b)
	im := x.Image()
	for b.Loop() {
		n := 0
		for _, r := range im.Range(0, im.Len()) {
			n += int(r.Flags)
		}
		_ = n
	}
}

func BenchmarkCheckpoint100k(b *testing.B) {
	x, _, _ := bigIndex(b)
	for b.Loop() {
		must(b, x.Checkpoint())
	}
}
