package spool

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/mta/queue/item"
	"github.com/postcote/postcote/pkg/platform/disk"
)

// victimDir tells the test binary to be the process that gets killed.
const victimDir = "POSTCOTE_TEST_SPOOL"

func killConfig(dir string) Config {
	cfg := testConfig(disk.OS())
	cfg.Dir, cfg.SegmentSize, cfg.MinFree = dir, 256<<10, 0
	return cfg
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimDir); dir != "" {
		victim(dir)
		return
	}
	os.Exit(m.Run())
}

// victim takes messages, removes most of them, and says so on standard output,
// until it is killed.
func victim(dir string) {
	s, r, err := Open(context.Background(), killConfig(dir))
	if err != nil || len(r.Damage) > 0 {
		fmt.Printf("trouble %v %v\n", err, r)
		return
	}
	var say sync.Mutex
	note := func(word string, id item.ID, seed, size int) {
		say.Lock()
		defer say.Unlock()
		fmt.Println(word, id, seed, size)
	}
	for w := range 20 {
		go func() {
			for n := 0; ; n++ {
				seed, size := w*1_000_000+n, rand.IntN(6000)
				e, err := add(s, seed, size, 1)
				if err != nil {
					fmt.Printf("trouble %v\n", err)
					return
				}
				note("took", e.ID, seed, size)
				if n%5 != 0 {
					note("removes", e.ID, seed, size)
					s.Remove(e)
					s.Done()
				}
			}
		}()
	}
	for {
		time.Sleep(3 * time.Millisecond)
		if err := s.Tidy(); err != nil {
			fmt.Printf("trouble %v\n", err)
		}
	}
}

// A process that is killed loses nothing that it acknowledged, in many lives
// on one directory.
func TestKillAtRandomMoments(t *testing.T) {
	lives := 4
	if n, err := strconv.Atoi(os.Getenv("POSTCOTE_TEST_LIVES")); err == nil {
		lives = n
	}
	dir := t.TempDir()
	type fact struct{ seed, size int }
	there := map[item.ID]fact{} // acknowledged and not removed
	for life := range lives {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), victimDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		limit := 100 + rand.IntN(3000)
		for n := 0; lines.Scan(); n++ {
			if n == limit {
				_ = cmd.Process.Kill()
			}
			var word, text string
			var f fact
			if k, _ := fmt.Sscan(lines.Text(), &word, &text, &f.seed, &f.size); k != 4 {
				if strings.HasPrefix(lines.Text(), "trouble") {
					t.Error(lines.Text())
				}
				continue // cut off by the kill
			}
			id, err := item.ParseID(text)
			switch {
			case err != nil:
			case word == "took":
				there[id] = f
			case word == "removes":
				delete(there, id)
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()

		s, r := mustOpen(t, killConfig(dir))
		if len(r.Damage) > 0 || r.Salvaged > 0 {
			t.Fatalf("life %d: %+v", life, r)
		}
		for id, f := range there {
			e := s.Find(id)
			if e == nil {
				t.Fatalf("life %d: message %s was acknowledged and is gone", life, id)
			}
			wantText(t, s, e, f.seed, f.size)
		}
		for _, e := range s.Entries() {
			if _, ok := there[e.ID]; !ok || len(there) > 2000 {
				s.Remove(e) // written but not acknowledged, or about to be removed
				delete(there, e.ID)
			}
		}
		mustClose(t, s)
	}
}
