package dovecot

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

var now = time.Unix(1_700_000_000, 0)

// folder is /m with the files given.
func folder(t *testing.T, files map[string][]byte) *disk.Forgetful {
	t.Helper()
	m := disk.NewForgetful()
	if err := errors.Join(m.Mkdir("/m", 0o700), m.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if err := disk.WriteFile(m, "/m/"+name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// record is a transaction as Dovecot writes it.
func record(kind uint32, data ...byte) []byte {
	b := make([]byte, recHeader, recHeader+len(data))
	putOffset(b, recHeader+len(data))
	binary.LittleEndian.PutUint32(b[4:], kind)
	return append(b, data...)
}

func cat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// index is the header of a dovecot.index that has read the log of that
// sequence number.
func index(indexID, logSeq uint32) []byte {
	b := make([]byte, 120)
	b[0], b[2], b[4] = 7, 120, 120
	binary.LittleEndian.PutUint32(b[16:], indexID)
	binary.LittleEndian.PutUint32(b[60:], logSeq)
	return b
}

// What Raise does to each state of Dovecot's files: goes on with the log, or
// begins a new one where Dovecot would not believe it.
func TestRaise(t *testing.T) {
	flags := record(4|external, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
	log := emptyLog(5, 77)
	withHeader := func(at int, b byte) []byte {
		l := emptyLog(5, 77)
		l[at] = b
		return l
	}
	for _, c := range []struct {
		what  string
		files map[string][]byte
		anew  bool
		want  uint64
	}{
		{"no Dovecot before", nil, true, 1000},
		{"a log", map[string][]byte{logName: log}, false, 1000},
		{"a log with its index", map[string][]byte{logName: log, indexName: index(77, 1)}, false, 1000},
		{"an index of an older log", map[string][]byte{logName: log, indexName: index(77, 0)}, false, 1000},
		{"another's index", map[string][]byte{logName: log, indexName: index(78, 1)}, true, 1000},
		{"an index of a later log", map[string][]byte{logName: log, indexName: index(77, 2)}, true, 1000},
		{"an index and no log", map[string][]byte{indexName: index(77, 2)}, true, 1000},
		{"half a transaction at the end", map[string][]byte{logName: cat(log, flags, flags[:9])}, false, 1000},
		{"no MODSEQs counted", map[string][]byte{logName: withHeader(24, 0)}, true, 1000},
		{"another byte order", map[string][]byte{logName: withHeader(32, 0)}, true, 1000},
		{"condemned by Dovecot", map[string][]byte{logName: withHeader(4, 0)}, true, 1000},
		{"garbage", map[string][]byte{logName: []byte("garbage"), indexName + ".cache": {1}, logName + ".2": {1}}, true, 1000},
		{"Dovecot is ahead", map[string][]byte{logName: emptyLog(5000, 77)}, false, 5000},
		{"Dovecot is ahead in a log that is not believed", map[string][]byte{logName: emptyLog(5000, 77), indexName: index(78, 1)}, true, 5000},
	} {
		m := folder(t, c.files)
		if err := Raise(context.Background(), m, "/m", 1000, now); err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		after := m.Crash() // durable when it returns
		if n, found, err := ModSeq(after, "/m"); n != c.want || !found || err != nil {
			t.Errorf("%s: MODSEQ %d %v %v, want %d", c.what, n, found, err, c.want)
		}
		b, err := disk.ReadFile(after, "/m/"+logName, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if anew := len(b) == logHeader; anew != c.anew {
			t.Errorf("%s: begun anew is %v", c.what, anew)
		}
		if end := transactions(b, func(uint32, []byte) {}); end != len(b) {
			t.Errorf("%s: the log ends at %d, the file at %d", c.what, end, len(b))
		}
		if names, _ := disk.FileNames(after, "/m"); c.anew && len(names) != 1 {
			t.Errorf("%s: left are %v", c.what, names)
		}
	}
}

// Wherever the machine stops, the MODSEQ is not below what it was, and a
// second attempt succeeds.
func TestRaiseCrash(t *testing.T) {
	for _, files := range []map[string][]byte{
		{logName: emptyLog(500, 77), indexName: index(77, 1)},
		{logName: emptyLog(500, 77), indexName: index(78, 1), indexName + ".cache": {1}},
	} {
		for n := 0; ; n++ {
			m := folder(t, files)
			m.CrashAfter(n)
			err := Raise(context.Background(), m, "/m", 1000, now)
			crashed := m.Crashed()
			for seed := range uint64(5) {
				after := m.CrashRandom(seed)
				if got, _, rerr := ModSeq(after, "/m"); rerr != nil || got < 500 || err == nil && got < 1000 {
					t.Errorf("crash after %d changes: MODSEQ %d, %v", n, got, rerr)
				}
				if err := Raise(context.Background(), after, "/m", 1000, now); err != nil {
					t.Errorf("crash after %d changes, again: %v", n, err)
				}
				if got, _, _ := ModSeq(after, "/m"); got < 1000 {
					t.Errorf("crash after %d changes, again: MODSEQ %d", n, got)
				}
			}
			if !crashed {
				break
			}
		}
	}
}

// Dovecot's lock is respected, and what fails is told.
func TestRaiseRefused(t *testing.T) {
	m := folder(t, map[string][]byte{logName: emptyLog(5, 77)})
	f, err := m.OpenFile("/m/"+logName, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.TryLock(f, disk.Exclusive); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := Raise(ctx, m, "/m", 1000, now); !fail.Is(err, fail.Unavailable) {
		t.Errorf("while Dovecot writes: %v", err)
	}
	_ = f.Close()
	for _, c := range []struct {
		fault disk.Fault
		kind  fail.Kind
	}{
		{disk.Fault{Op: disk.OpOpen, Err: syscall.EACCES}, fail.Denied},
		{disk.Fault{Op: disk.OpWrite, Err: syscall.ENOSPC}, fail.Full},
		{disk.Fault{Op: disk.OpSync, Err: syscall.EIO}, fail.Temporary},
	} {
		faulty := disk.NewFaulty(m, c.fault)
		if err := Raise(context.Background(), faulty, "/m", 1000, now); err == nil || fail.KindOf(err) != c.kind || faulty.Hits() != 1 {
			t.Errorf("%+v: %v", c.fault, err)
		}
	}
}
