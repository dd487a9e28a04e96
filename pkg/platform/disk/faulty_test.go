package disk

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	open := func(f *Faulty, name string, flag int) error {
		file, err := f.OpenFile(name, flag, 0o600)
		if err == nil {
			err = file.Close()
		}
		return err
	}
	write := func(f *Faulty, name string) error {
		file, err := f.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		_, werr := file.Write([]byte("12345678"))
		return errors.Join(werr, file.Close())
	}
	cases := []struct {
		fault Fault
		do    func(*Faulty) error
		want  []bool // does the nth call fail
	}{
		{Fault{Op: OpCreate, Err: syscall.ENOSPC}, func(f *Faulty) error { return open(f, "/d/n", os.O_RDWR|os.O_CREATE) }, []bool{true, false}},
		{Fault{Op: OpOpen, Nth: 2, Err: syscall.EIO}, func(f *Faulty) error { return open(f, "/d/a", os.O_RDONLY) }, []bool{false, true, false}},
		{Fault{Op: OpOpen, Nth: 2, Err: syscall.EIO, Forever: true}, func(f *Faulty) error { return open(f, "/d/a", os.O_RDONLY) }, []bool{false, true, true}},
		{Fault{Op: OpWrite, Path: "b", Err: syscall.EIO}, func(f *Faulty) error { return write(f, "/d/a") }, []bool{false, false}},
		{Fault{Op: OpWrite, Path: "/d/?", Err: syscall.EIO}, func(f *Faulty) error { return write(f, "/d/a") }, []bool{true, false}},
		{Fault{Op: OpClose, Err: syscall.EIO}, func(f *Faulty) error { return write(f, "/d/a") }, []bool{true, false}},
		{Fault{Op: OpRename, Path: "new", Err: syscall.EROFS}, func(f *Faulty) error { return f.Rename("/d/a", "/d/new") }, []bool{true, false}},
		{Fault{Op: OpLink, Err: syscall.EMLINK}, func(f *Faulty) error { return f.Link("/d/a", "/d/new") }, []bool{true, false}},
		{Fault{Op: OpRemove, Err: syscall.EROFS}, func(f *Faulty) error { return f.Remove("/d/a") }, []bool{true, false}},
		{Fault{Op: OpMkdir, Err: syscall.ENOSPC}, func(f *Faulty) error { return f.Mkdir("/d/e", 0o700) }, []bool{true, false}},
		{Fault{Op: OpSyncDir, Err: syscall.EIO}, func(f *Faulty) error { return f.SyncDir("/d") }, []bool{true, false}},
		{Fault{Op: OpStat, Err: syscall.EIO}, func(f *Faulty) error { _, err := f.Stat("/d"); return err }, []bool{true, false}},
		{Fault{Op: OpReadDir, Err: syscall.EIO}, func(f *Faulty) error { _, err := f.ReadDir("/d"); return err }, []bool{true, false}},
		{Fault{Op: OpStatfs, Err: syscall.EIO}, func(f *Faulty) error { _, err := Statfs(f, "/d"); return err }, []bool{true, false}},
		{Fault{Op: OpChtimes, Err: syscall.EPERM}, func(f *Faulty) error { return Chtimes(f, "/d/a", time.Unix(1, 0)) }, []bool{true, false}},
		{Fault{Op: OpAny, Nth: 3, Err: syscall.EIO}, func(f *Faulty) error { return write(f, "/d/a") }, []bool{true, false}},
	}
	for _, c := range cases {
		m := NewForgetful()
		if err := m.Mkdir("/d", 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, m, "/d/a", "")
		f := NewFaulty(m, c.fault)
		hits := 0
		for i, want := range c.want {
			err := c.do(f)
			if want {
				hits++
			}
			if got := errors.Is(err, c.fault.Err); got != want {
				t.Errorf("%+v: call %d: %v", c.fault, i+1, err)
			}
		}
		if f.Hits() != hits {
			t.Errorf("%+v: %d hits, want %d", c.fault, f.Hits(), hits)
		}
		f.Clear()
		if err := write(f, "/d/a"); err != nil && c.fault.Op != OpRename && c.fault.Op != OpRemove {
			t.Errorf("%+v: after Clear: %v", c.fault, err)
		}
	}
}

func TestShortWrite(t *testing.T) {
	m := NewForgetful()
	f := NewFaulty(m, Fault{Op: OpWrite, Err: syscall.ENOSPC, Short: true})
	file, err := f.OpenFile("/f", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	n, err := file.WriteAt([]byte("12345678"), 0)
	if n != 4 || !IsFull(err) || get(t, m, "/f") != "1234" {
		t.Fatalf("%d, %v, %q", n, err, get(t, m, "/f"))
	}
	for _, do := range []func() error{
		func() error { _, err := file.Read(make([]byte, 1)); return err },
		func() error { _, err := file.ReadAt(make([]byte, 1), 0); return err },
		func() error { return file.Truncate(1) },
		func() error { _, err := file.Stat(); return err },
		file.Sync,
	} {
		f.Clear()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		f.Add(Fault{Op: OpAny, Err: syscall.EIO})
		if err := do(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
	}
}

func TestFaultyPassesPointsOn(t *testing.T) {
	m := NewForgetful()
	Point(NewFaulty(m), "p")
	if m.Points()["p"] != 1 {
		t.Fatal("lost")
	}
}
