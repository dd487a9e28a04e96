package mailbox

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/disk"
)

// crashPoints are all that the sources below pkg/store name.
func crashPoints(t *testing.T) (all []string) {
	t.Helper()
	call := regexp.MustCompile(`disk\.Point\([^"]*"([a-z_.]+)"( ?\+ ?d)?\)`)
	files, _ := filepath.Glob("../*/*.go")
	deeper, _ := filepath.Glob("../*/*/*.go")
	calls := 0
	for _, file := range append(files, deeper...) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		must(t, err)
		calls += strings.Count(string(text), "disk.Point(")
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			calls--
			if m[2] == "" {
				all = append(all, m[1])
				continue
			}
			for _, sub := range []string{"cur", "new", "tmp"} {
				all = append(all, m[1]+sub)
			}
		}
	}
	if calls != 0 {
		t.Errorf("%d crash points have names that this test cannot read", calls)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// folderWork makes, fills, renames and deletes folders, until the disk fails.
// It returns the messages that must be there, by body.
func folderWork(h *house) (bodies []string) {
	ok := func(err error) bool { return err == nil }
	add := func(folder, body string) bool {
		a, err := h.acct.Append(bg, folder)
		if err != nil || a.Add(bg, Incoming{}, strings.NewReader(body)) != nil {
			return false
		}
		_, _, err = a.Commit(bg)
		if err == nil {
			bodies = append(bodies, body)
		}
		return err == nil
	}
	_ = ok(h.acct.Create(bg, "A")) && ok(h.acct.Create(bg, "A.sub")) && add("A", "in A\n") && add("A.sub", "in A.sub\n") &&
		ok(h.acct.Rename(bg, "A", "B")) && add("B", "in B\n") &&
		ok(h.acct.Create(bg, "Gone")) && ok(h.acct.Delete(bg, "Gone")) && ok(h.store.Release(bg, h.cfg.User))
	// Dovecot could have it now, and is told again afterwards.
	if a, err := h.store.Account(bg, h.cfg); err == nil {
		h.acct = a
		_ = add("INBOX", "in INBOX\n") && add("B", "more in B\n") && ok(h.store.Release(bg, h.cfg.User))
	}
	return bodies
}

// folderBodies are the bodies of all messages in all folders, in order.
func folderBodies(t *testing.T, h *house, what string) (bodies []string) {
	t.Helper()
	folders, err := h.acct.List(bg)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for _, f := range folders {
		if !f.Exists {
			continue
		}
		m, err := h.acct.Open(bg, f.Name)
		if err != nil {
			t.Fatalf("%s: %s: %v", what, f.Name, err)
		}
		for _, x := range m.Snapshot().All() {
			bodies = append(bodies, h.read(m, x.UID))
		}
		must(t, m.Close())
	}
	slices.Sort(bodies)
	return bodies
}

// Every crash point of the store is where the machine dies, as often as it is
// passed: with all that was acknowledged, and a service that goes on.
func TestDeathAtEveryCrashPoint(t *testing.T) {
	works := map[string]func(*house) func(*testing.T, disk.FS, string){
		"messages": func(h *house) func(*testing.T, disk.FS, string) { return session(h).check },
		"folders": func(h *house) func(*testing.T, disk.FS, string) {
			bodies := folderWork(h)
			slices.Sort(bodies)
			return func(t *testing.T, after disk.FS, what string) {
				g := &house{t: t, fs: after, base: "/home", clock: h.clock, cfg: h.cfg, tree: h.tree}
				if err := g.try(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if got := folderBodies(t, g, what); !contains(got, bodies) {
					t.Fatalf("%s: %q, of %q", what, got, bodies)
				}
				must(t, g.acct.Create(bg, "After"))
				must(t, g.store.Close(bg))
			}
		},
	}
	died := map[string]bool{}
	for name, work := range works {
		dry := disk.NewForgetful()
		first := newHouse(t, dry, "/home", Exclusive)
		before := dry.Points() // by opening the account
		work(first)
		for point, n := range dry.Points() {
			if n == before[point] {
				continue
			}
			mem := disk.NewForgetful()
			h := newHouse(t, mem, "/home", Exclusive)
			mem.CrashAt(point) // counted from here on
			check := work(h)
			if !mem.Crashed() {
				t.Errorf("%s: nobody died at %s", name, point)
				continue
			}
			died[point] = true
			check(t, mem.Crash(), name+", death at "+point)
			check(t, mem.CrashRandom(1), name+", death at "+point+", more was kept")
		}
	}
	for _, point := range crashPoints(t) {
		if !died[point] {
			t.Errorf("no work passes %s", point)
		}
	}
}

// contains: each of want is in got, and none is there twice.
func contains(got, want []string) bool {
	for _, w := range want {
		if !slices.Contains(got, w) {
			return false
		}
	}
	return len(slices.Compact(slices.Clone(got))) == len(got)
}
