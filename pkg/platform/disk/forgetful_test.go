package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// TestForgetsWhatWasNotSynced is the contract, case by case: what is there
// after a crash that keeps nothing but what is certain.
func TestForgetsWhatWasNotSynced(t *testing.T) {
	write := func(m *Forgetful, name, data string, sync bool) {
		f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			panic(err)
		}
		_, _ = f.Write([]byte(data))
		if sync {
			_ = f.Sync()
		}
		_ = f.Close()
	}
	ok := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	cases := []struct {
		name string
		do   func(m *Forgetful)
		want string
	}{
		{"nothing synced", func(m *Forgetful) { write(m, "/f", "x", false) }, ""},
		{"data without name", func(m *Forgetful) { write(m, "/f", "x", true) }, ""},
		{"name without data", func(m *Forgetful) { write(m, "/f", "x", false); ok(m.SyncDir("/")) }, "f="},
		{"both", func(m *Forgetful) { write(m, "/f", "x", true); ok(m.SyncDir("/")) }, "f=x"},
		{"overwritten later", func(m *Forgetful) {
			write(m, "/f", "xyz", true)
			ok(m.SyncDir("/"))
			write(m, "/f", "A", false)
		}, "f=xyz"},
		{"rename not synced", func(m *Forgetful) {
			write(m, "/f", "x", true)
			ok(m.SyncDir("/"))
			ok(m.Rename("/f", "/g"))
		}, "f=x"},
		{"rename synced", func(m *Forgetful) {
			write(m, "/f", "x", true)
			ok(m.Rename("/f", "/g"))
			ok(m.SyncDir("/"))
		}, "g=x"},
		{"replacing rename not synced", func(m *Forgetful) {
			write(m, "/f", "old", true)
			ok(m.SyncDir("/"))
			write(m, "/t", "new", true)
			ok(m.Rename("/t", "/f"))
		}, "f=old"},
		{"unlink not synced", func(m *Forgetful) {
			write(m, "/f", "x", true)
			ok(m.SyncDir("/"))
			ok(m.Remove("/f"))
		}, "f=x"},
		{"unlink synced", func(m *Forgetful) {
			write(m, "/f", "x", true)
			ok(m.SyncDir("/"))
			ok(m.Remove("/f"))
			ok(m.SyncDir("/"))
		}, ""},
		{"link synced, first name not", func(m *Forgetful) {
			ok(m.Mkdir("/d", 0o700))
			ok(m.SyncDir("/"))
			write(m, "/f", "x", true)
			ok(m.Link("/f", "/d/g"))
			ok(m.SyncDir("/d"))
		}, "d/g=x"},
		{"folder not synced into its parent", func(m *Forgetful) {
			ok(m.Mkdir("/d", 0o700))
			write(m, "/d/f", "x", true)
			ok(m.SyncDir("/d"))
		}, ""},
		{"rename between folders, source synced", func(m *Forgetful) {
			ok(m.Mkdir("/a", 0o700))
			ok(m.Mkdir("/b", 0o700))
			ok(m.SyncDir("/"))
			write(m, "/a/f", "x", true)
			ok(m.SyncDir("/a"))
			ok(m.Rename("/a/f", "/b/f"))
			ok(m.SyncDir("/a"))
		}, "a/f=x"},
		{"rename between folders, target synced", func(m *Forgetful) {
			ok(m.Mkdir("/a", 0o700))
			ok(m.Mkdir("/b", 0o700))
			ok(m.SyncDir("/"))
			write(m, "/a/f", "x", true)
			ok(m.SyncDir("/a"))
			ok(m.Rename("/a/f", "/b/f"))
			ok(m.SyncDir("/b"))
		}, "b/f=x"},
		{"rename of a name whose making was not synced", func(m *Forgetful) {
			ok(m.Mkdir("/a", 0o700))
			ok(m.SyncDir("/"))
			write(m, "/f", "x", true)
			ok(m.Rename("/f", "/a/g"))
			ok(m.SyncDir("/a"))
		}, "a/g=x"},
		{"truncation not synced", func(m *Forgetful) {
			write(m, "/f", "xyz", true)
			ok(m.SyncDir("/"))
			f, err := m.OpenFile("/f", os.O_WRONLY|os.O_TRUNC, 0)
			ok(err)
			_, err = f.Write([]byte("A"))
			ok(err)
		}, "f=xyz"},
	}
	for _, c := range cases {
		m := NewForgetful()
		c.do(m)
		if got := strings.Join(listing(m.Crash(), "/"), " "); got != c.want {
			t.Errorf("%s: found %q, want %q", c.name, got, c.want)
		}
	}
}

// listing returns "name=content" of all files, sorted.
func listing(fsys FS, dir string) []string {
	var out []string
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return []string{err.Error()}
	}
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if e.IsDir() {
			out = append(out, listing(fsys, name)...)
			continue
		}
		data, err := ReadFile(fsys, name, 1<<20)
		if err != nil {
			data = []byte(err.Error())
		}
		out = append(out, strings.TrimPrefix(name, "/")+"="+string(data))
	}
	sort.Strings(out)
	return out
}

func TestAfterTheCrash(t *testing.T) {
	m := NewForgetful()
	put(t, m, "/f", "x")
	f, err := m.OpenFile("/f", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var seen []string
	m.OnPoint(func(name string) { seen = append(seen, name) })
	m.CrashAt("here:2")
	Point(m, "here")
	if m.Crashed() {
		t.Fatal("too early")
	}
	Point(m, "here")
	if !m.Crashed() || m.Points()["here"] != 2 || len(seen) != 2 {
		t.Fatal(m.Crashed(), m.Points(), seen)
	}
	for what, err := range map[string]error{
		"sync":    f.Sync(),
		"syncdir": m.SyncDir("/"),
		"rename":  m.Rename("/f", "/g"),
		"link":    m.Link("/f", "/g"),
		"remove":  m.Remove("/f"),
		"mkdir":   m.Mkdir("/d", 0o700),
		"chtimes": m.Chtimes("/f", m.now()),
		"lock":    TryLock(f, Exclusive),
	} {
		if !errors.Is(err, ErrCrashed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := m.Crash().Stat("/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestTimesAndMode(t *testing.T) {
	m, c := dotFS(t)
	info, err := m.Stat("/list")
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 || !info.ModTime().Equal(c.now()) || info.IsDir() || Links(info) != 1 {
		t.Fatalf("%v %v", info.Mode(), info.ModTime())
	}
	when := c.now().Add(-1e9)
	_ = m.Chtimes("/list", when)
	_ = m.SyncDir("/")
	if got, _ := m.Crash().Stat("/list"); got.ModTime().Equal(when) {
		t.Fatal("a time that was not synced survived")
	}
}

// TestSameAsOS: the file system in memory answers as the real one, for
// results and for errors.
func TestSameAsOS(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "p")
		if err != nil {
			rt.Fatal(err)
		}
		m := NewForgetful()
		name := rapid.SampledFrom([]string{"/a", "/b", "/d", "/d/a", "/d/b", "/d/e", "/d/e/a", "/a/x"})
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			op := rapid.SampledFrom([]string{"write", "append", "trunc", "excl", "mkdir", "remove", "rename", "link", "read", "stat", "list"}).Draw(rt, "op")
			a, b := name.Draw(rt, "a"), name.Draw(rt, "b")
			data := rapid.StringN(0, 20, 20).Draw(rt, "data")
			off := int64(rapid.IntRange(0, 30).Draw(rt, "off"))
			got := step(m, "", op, a, b, data, off)
			want := step(OS(), dir, op, a, b, data, off)
			if got != want {
				rt.Fatalf("%s %s %s: %q in memory, %q on disk", op, a, b, got, want)
			}
		}
		real := listing(OS(), dir)
		for i := range real {
			real[i] = strings.TrimPrefix(real[i], strings.TrimPrefix(dir, "/")+"/")
		}
		if got := listing(m, "/"); fmt.Sprint(got) != fmt.Sprint(real) {
			rt.Fatalf("memory %v, disk %v", got, real)
		}
	})
}

// step does one operation and renders what came out.
func step(fsys FS, root, op, a, b, data string, off int64) string {
	a, b = root+a, root+b
	openAnd := func(flag int, do func(File) (string, error)) string {
		f, err := fsys.OpenFile(a, flag, 0o600)
		if err != nil {
			return errno(err)
		}
		defer f.Close()
		out, err := do(f)
		return out + errno(err)
	}
	switch op {
	case "write":
		return openAnd(os.O_RDWR|os.O_CREATE, func(f File) (string, error) { n, err := f.WriteAt([]byte(data), off); return fmt.Sprint(n), err })
	case "append":
		return openAnd(os.O_WRONLY|os.O_APPEND|os.O_CREATE, func(f File) (string, error) { n, err := f.Write([]byte(data)); return fmt.Sprint(n), err })
	case "trunc":
		return openAnd(os.O_RDWR, func(f File) (string, error) { return "", f.Truncate(off) })
	case "excl":
		return openAnd(os.O_WRONLY|os.O_CREATE|os.O_EXCL, func(f File) (string, error) { return "", f.Sync() })
	case "read":
		return openAnd(os.O_RDONLY, func(f File) (string, error) {
			at := make([]byte, 8)
			n, err := f.ReadAt(at, off)
			all, rerr := io.ReadAll(f)
			_, werr := f.Write([]byte("x"))
			return fmt.Sprintf("%q %v %q %v %v", at[:n], err == nil, all, rerr == nil, werr == nil), nil
		})
	case "mkdir":
		return errno(fsys.Mkdir(a, 0o700))
	case "remove":
		return errno(fsys.Remove(a))
	case "rename":
		return errno(fsys.Rename(a, b))
	case "link":
		return errno(fsys.Link(a, b))
	case "stat":
		info, err := fsys.Stat(a)
		if err != nil {
			return errno(err)
		}
		if info.IsDir() {
			return "dir"
		}
		return fmt.Sprint(info.Name(), info.Size(), Links(info))
	}
	entries, err := fsys.ReadDir(a)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	sort.Strings(names)
	return fmt.Sprint(names) + errno(err)
}

func errno(err error) string {
	var no syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.As(err, &no):
		return no.Error()
	}
	return err.Error()
}

// TestRandomCrashKeepsPromises: whatever else a crash keeps or loses, synced
// data under synced names is there, and each sector holds something that was
// written to it.
func TestRandomCrashKeepsPromises(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := NewForgetful()
		const sectors = 4
		promised := map[string]string{} // name -> content that must be there
		written := map[string]map[string]bool{}
		note := func(name string, data []byte) {
			for i := 0; i < len(data); i += sector {
				k := fmt.Sprint(name, i/sector)
				if written[k] == nil {
					written[k] = map[string]bool{strings.Repeat("\x00", sector): true}
				}
				written[k][string(data[i:i+sector])] = true
			}
		}
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"/a", "/b", "/c"}), 1, 3, rapid.ID).Draw(rt, "names")
		fill := byte('a')
		for _, name := range names {
			f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				rt.Fatal(err)
			}
			for range rapid.IntRange(0, 4).Draw(rt, "writes") {
				from := rapid.IntRange(0, sectors-1).Draw(rt, "from")
				n := rapid.IntRange(1, sectors-from).Draw(rt, "n")
				if _, err := f.WriteAt([]byte(strings.Repeat(string(fill), n*sector)), int64(from*sector)); err != nil {
					rt.Fatal(err)
				}
				note(name, []byte(get(t, m, name)))
				fill++
			}
			if rapid.Bool().Draw(rt, "sync") {
				if err := f.Sync(); err != nil {
					rt.Fatal(err)
				}
				if rapid.Bool().Draw(rt, "syncdir") {
					if err := m.SyncDir("/"); err != nil {
						rt.Fatal(err)
					}
					promised[name] = get(t, m, name)
				}
			}
		}
		after := m.CrashRandom(rapid.Uint64().Draw(rt, "seed"))
		for name, want := range promised {
			if got, err := ReadFile(after, name, 1<<20); err != nil || string(got) != want {
				rt.Fatalf("%s was promised: %v", name, err)
			}
		}
		for _, name := range names {
			got, err := ReadFile(after, name, 1<<20)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			for i := 0; i+sector <= len(got); i += sector {
				if !written[fmt.Sprint(name, i/sector)][string(got[i:i+sector])] {
					rt.Fatalf("%s sector %d holds what nobody wrote", name, i/sector)
				}
			}
		}
	})
}

// TestRandomCrashVisits: the random crash really reaches the states between
// all and nothing, torn writes included, and a seed means the same each time.
func TestRandomCrashVisits(t *testing.T) {
	seen := map[string]bool{}
	build := func() *Forgetful {
		m := NewForgetful()
		put(t, m, "/old", "O")
		_ = m.SyncDir("/")
		f, _ := m.OpenFile("/new", os.O_RDWR|os.O_CREATE, 0o600)
		_, _ = f.Write([]byte(strings.Repeat("N", 2*sector)))
		_ = m.Rename("/old", "/older")
		return m
	}
	for seed := range uint64(400) {
		one := strings.Join(listing(build().CrashRandom(seed), "/"), " ")
		if two := strings.Join(listing(build().CrashRandom(seed), "/"), " "); one != two {
			t.Fatalf("seed %d: two states", seed)
		}
		seen[one] = true
	}
	n, z := strings.Repeat("N", sector), strings.Repeat("\x00", sector)
	for _, want := range []string{
		"old=O", "older=O", "new= old=O", "new=" + n + n + " older=O",
		"new=" + n + " old=O", "new=" + z + n + " older=O", "new=" + n + z + " old=O", "new=" + z + z + " old=O",
	} {
		if !seen[want] {
			t.Errorf("never met: %.20q (%d states)", want, len(seen))
		}
	}
	for state := range seen {
		if strings.Contains(state, "old=O") == strings.Contains(state, "older=O") {
			t.Errorf("the renamed file is there twice or not at all: %.40q", state)
		}
	}
}
