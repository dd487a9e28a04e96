package window

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func feedback(t *testing.T, text string) (f Feedback) {
	t.Helper()
	if err := f.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return f
}

// The windows of a day in Postfix, step by step. The files say how they were made.
func TestAsPostfix(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) < 4 {
		t.Fatalf("records: %q", files)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) { replay(t, name) })
	}
}

func replay(t *testing.T, name string) {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := Rules{Initial: 5, Limit: 12}
	var w Window
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		words := strings.Fields(in.Text())
		if words[0] == "#" {
			continue
		}
		running := 1000
		switch words[0] {
		case "rules":
			r.Positive, r.Negative = feedback(t, words[1]), feedback(t, words[2])
			if _, err := fmt.Sscan(words[3], &r.Cohorts); err != nil {
				t.Fatal(err)
			}
			w = New(r)
			continue
		case "new":
			w = New(r)
			continue
		case "unused":
			running = 0
			if w.Size() < r.Initial {
				t.Fatalf("line %d: a window below the initial one counts always", n)
			}
			fallthrough
		case "ok":
			w.Succeeded(r, running)
		case "fail", "down":
			if down := w.Failed(r); down != (words[0] == "down") {
				t.Fatalf("line %d: down: %v; %+v", n, down, w)
			}
		case "revived":
			w.Revived(r, 0)
		}
		got := fmt.Sprintf("%d %.6g %.6g %.6g", w.size, w.success, w.failure, w.cohorts)
		if want := strings.Join(words[1:], " "); words[0] != "down" && !same(got, want) {
			t.Fatalf("line %d, %s: %s, want %s", n, words[0], got, want)
		}
	}
}

// same compares numbers that were rounded for the log.
func same(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	for i := range x {
		var p, q float64
		_, _ = fmt.Sscan(x[i], &p)
		_, _ = fmt.Sscan(y[i], &q)
		if math.Abs(p-q) > 1e-5 {
			return false
		}
	}
	return len(x) == len(y)
}

// Whatever happens, a window stays within its bounds, opens only by success and
// closes only by failure.
func TestBounds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	some := []string{"0", "0.25", "1", "1 / concurrency", "0.3 / concurrency", "1 / sqrt_concurrency", "0.5 / sqrt_concurrency"}
	for range 500 {
		r := Rules{Initial: 1 + rnd.IntN(10), Positive: feedback(t, some[rnd.IntN(len(some))]), Negative: feedback(t, some[rnd.IntN(len(some))]), Cohorts: rnd.IntN(4)}
		r.Limit = r.Initial + rnd.IntN(30)
		w := New(r)
		for step := range 300 {
			before := w.Size()
			running := 1 + rnd.IntN(w.Size())
			if ok := rnd.IntN(3) > 0; ok {
				w.Succeeded(r, running)
				if w.Size() < before || w.Size() > max(before, running+r.Initial) || !w.Untroubled() {
					t.Fatalf("%+v: success %d of %d: from %d to %+v", r, step, running, before, w)
				}
			} else if down := w.Failed(r); down {
				if r.Cohorts == 0 || w.cohorts < float64(r.Cohorts)-epsilon {
					t.Fatalf("%+v: down with %+v", r, w)
				}
				w.Revived(r, rnd.IntN(3))
			} else if w.Size() > before {
				t.Fatalf("%+v: failure %d: from %d to %+v", r, step, before, w)
			}
			if w.Size() < 1 || w.Size() > r.Limit {
				t.Fatalf("%+v: %+v", r, w)
			}
		}
	}
}

// Divided by the window, a whole window of results moves it by one; divided by
// its root, that takes so many results as the root is.
func TestCohorts(t *testing.T) {
	for size := 2; size <= 100; size++ {
		for text, results := range map[string]int{"1/concurrency": size, "1/sqrt_concurrency": int(math.Ceil(math.Sqrt(float64(size))))} {
			r := Rules{Initial: size, Limit: size + 1, Positive: feedback(t, text)}
			w := New(r)
			n := 0
			for ; w.Size() == size; n++ {
				w.Succeeded(r, size)
			}
			if n > results || n < results-1 {
				t.Errorf("%s: %d successes open a window of %d", text, n, size)
			}
		}
	}
}

func TestFeedbackText(t *testing.T) {
	for text, want := range map[string]string{
		"1": "1", "0": "0", "0.5": "0.5", " 1e-1 ": "0.1", "1/concurrency": "1 / concurrency", "0.5 / Concurrency": "0.5 / concurrency",
		"1/sqrt_concurrency": "1 / sqrt_concurrency",
	} {
		f := feedback(t, text)
		if f.String() != want || feedback(t, want) != f {
			t.Errorf("%q: %+v, %s", text, f, f)
		}
	}
	for _, text := range []string{"", "2", "-1", "1.0001", "NaN", "x", "1x", "1/", "1/window", "5/concurrency", "/concurrency", "1/concurrency/2"} {
		var f Feedback
		if err := f.UnmarshalText([]byte(text)); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v, %v", text, f, err)
		}
	}
}
