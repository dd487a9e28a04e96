package maildrop

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/disk"
	"github.com/postcote/postcote/pkg/platform/fail"
)

func sample() *Envelope {
	return &Envelope{
		Sender: "joe@ours.example", Return: "HDRS", EnvelopeID: "a+b", EightBit: true,
		Recipients: []Recipient{{To: "ann@far.example", Notify: []string{"SUCCESS", "FAILURE"}}, {To: "bob@far.example"}},
	}
}

const text = "Subject: x\r\n\r\nbody\r\n"

func drop(fsys disk.FS, dir string) error {
	w, err := Create(fsys, dir, sample(), time.Unix(1e9, 0))
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return w.Commit()
}

func TestWhatWasDroppedIsRead(t *testing.T) {
	dir := t.TempDir()
	if err := drop(disk.OS(), dir); err != nil {
		t.Fatal(err)
	}
	names, err := List(disk.OS(), dir, 10)
	if err != nil || len(names) != 1 {
		t.Fatalf("List: %v %v", names, err)
	}
	m, err := Open(disk.OS(), names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if got, _ := io.ReadAll(m.Reader()); string(got) != text || !reflect.DeepEqual(m.Envelope, *sample()) || m.UID != os.Getuid() {
		t.Errorf("read %q %+v uid %d", got, m.Envelope, m.UID)
	}
	if err := Remove(disk.OS(), names[0]); err != nil {
		t.Fatal(err)
	}
	if names, _ := List(disk.OS(), dir, 10); len(names) != 0 {
		t.Errorf("still there: %v", names)
	}
}

// Whatever a power failure leaves: a message whose writer was told that it is
// safe is there and whole, and no other is ever half there.
func TestCrash(t *testing.T) {
	for _, point := range []string{"", "maildrop.before_sync", "maildrop.before_rename", "maildrop.before_syncdir"} {
		for seed := uint64(1); seed <= 20; seed++ {
			m := disk.NewForgetful()
			if err := disk.MkdirAll(m, "/drop", 0o777); err != nil {
				t.Fatal(err)
			}
			if point != "" {
				m.CrashAt(point)
			}
			told := drop(m, "/drop")
			if (told == nil) != (point == "") {
				t.Fatalf("%s: the writer heard %v", point, told)
			}
			after := m.CrashRandom(seed)
			names, err := List(after, "/drop", 10)
			if err != nil {
				t.Fatal(err)
			}
			if told == nil && len(names) != 1 {
				t.Errorf("seed %d: a message that was promised is gone", seed)
			}
			for _, n := range names {
				mail, err := Open(after, n)
				if err != nil {
					t.Errorf("%s, seed %d: %v", point, seed, err)
					continue
				}
				if got, _ := io.ReadAll(mail.Reader()); string(got) != text {
					t.Errorf("%s, seed %d: read %q", point, seed, got)
				}
			}
		}
	}
}

// What others could have prepared is refused.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	if err := drop(disk.OS(), dir); err != nil {
		t.Fatal(err)
	}
	names, _ := List(disk.OS(), dir, 1)
	good, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	write := func(b []byte, mode os.FileMode) func(string) error {
		return func(name string) error {
			if err := os.WriteFile(name, b, 0o600); err != nil {
				return err
			}
			return os.Chmod(name, mode)
		}
	}
	edit := func(old, new string) []byte { return []byte(strings.Replace(string(good), old, new, 1)) }
	for what, make := range map[string]func(name string) error{
		"symbolic link": func(n string) error { return os.Symlink(names[0], n) },
		"hard link": func(n string) error {
			if err := write(good, 0o640)(n + ".orig"); err != nil {
				return err
			}
			return os.Link(n+".orig", n)
		},
		"folder":          func(n string) error { return os.Mkdir(n, 0o700) },
		"writable by all": write(good, 0o666),
		"cut":             write(good[:len(good)-5], 0o640),
		"changed":         write(edit("body", "bodx"), 0o640),
		"other sender":    write(edit("joe@", "tim@"), 0o640),
		"other version":   write(edit("drop 1", "drop 2"), 0o640),
		"empty":           write(nil, 0o640),
	} {
		name := filepath.Join(dir, strings.ReplaceAll(what, " ", "-")+suffix)
		if err := make(name); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(disk.OS(), name); !fail.Is(err, fail.Corrupt) {
			t.Errorf("%s: %v, want Corrupt", what, err)
		}
		if err := SetAside(disk.OS(), name); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if left, _ := List(disk.OS(), dir, 100); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func TestFullDisk(t *testing.T) {
	f := disk.NewFaulty(disk.OS(), disk.Fault{Op: disk.OpWrite, Err: fullDisk})
	dir := t.TempDir()
	if err := drop(f, dir); !fail.Is(err, fail.Full) {
		t.Errorf("got %v, want Full", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestTidy(t *testing.T) {
	dir := t.TempDir()
	old, young := filepath.Join(dir, ".old"+tmpSuffix), filepath.Join(dir, ".young"+tmpSuffix)
	now := time.Now()
	for name, age := range map[string]time.Duration{old: 48 * time.Hour, young: time.Minute} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, now.Add(-age), now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := Tidy(disk.OS(), dir, now, 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Error("the old one is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Error("the young one is gone")
	}
}

// FuzzOpen: no file makes the reader fail in another way than with an error,
// and what it accepts is what the writer would have written.
func FuzzOpen(f *testing.F) {
	head, err := appendHead(nil, sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(head, text...))
	f.Add([]byte(magic + "{}\n"))
	f.Add([]byte(magic + `{"sender":"a\nb","recipients":[{"to":"x@y"}]}` + "\nx"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := disk.NewForgetful()
		file, err := m.OpenFile("/x"+suffix, os.O_WRONLY|os.O_CREATE, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		at := strings.Index(strings.TrimPrefix(string(data), magic), "\n") + 1 + len(magic)
		fmt.Fprintf(file, "%s%s", data, trailer(int64(max(len(data)-at, 0)), checksum(data)))
		mail, err := Open(m, "/x"+suffix)
		if err != nil {
			return
		}
		if _, err := appendHead(nil, &mail.Envelope); err != nil {
			t.Errorf("accepted what cannot be written: %v", err)
		}
	})
}

const fullDisk = syscall.ENOSPC

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
