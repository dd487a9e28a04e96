package text

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func TestLines(t *testing.T) {
	in := "  lead x\nkey1 v1\n  cont\n# c\n\n \t\n\tcont2\nKEY2\tv2  \n #c\nlast"
	var got, problems []string
	l := NewLines("f", strings.NewReader(in), Limits{}, func(p Problem) { problems = append(problems, p.String()) })
	for {
		line, err := l.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%d %s", l.Number(), line))
	}
	if want := "2 key1 v1  cont\tcont2|8 KEY2\tv2|10 last"; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
	if len(problems) != 1 || !strings.HasPrefix(problems[0], "f, line 1: ") {
		t.Errorf("%q", problems)
	}
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	for name, tc := range map[string]struct {
		in     string
		limits Limits
	}{
		"size": {"a b\nc d\n", Limits{Size: 5}}, "entries": {"a b\nc d\n", Limits{Entries: 1}},
		"line": {long, Limits{Line: 69 << 10}}, "continued line": {"a b\n " + long + "\n", Limits{Line: 60 << 10}},
	} {
		if _, err := ReadPairs(NewLines("f", strings.NewReader(tc.in), tc.limits, nil), 0, nil); !fail.Is(err, fail.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	x, err := ReadPairs(NewLines("f", strings.NewReader("k "+long+"\n"), Limits{}, nil), 0, nil)
	if v, _ := x.Get("k"); err != nil || v != long {
		t.Error(len(v), err)
	}
}

func TestPairs(t *testing.T) {
	in := "key1 v1\n  cont\nkey1 dup\nnoval\n\"quo ted\"@x q v\n\"a\\\"b\" v\nkey: v\nk#x v # c\n\"bad v\n\"\" v\nnull nv\r\n"
	var problems []string
	x, err := ReadPairs(NewLines("f", strings.NewReader(in), Limits{}, func(p Problem) { problems = append(problems, fmt.Sprint(p.Line)) }), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for k, v := range x.All() {
		got = append(got, k+"="+v)
	}
	if want := `key1=v1  cont|"quo ted"@x=q v|"a\"b"=v|key:=v|k#x=v # c|null=nv`; strings.Join(got, "|") != want {
		t.Errorf("%q", got)
	}
	if want := "3 4 7 9 10"; strings.Join(problems, " ") != want {
		t.Errorf("problems on lines %s, want %s", problems, want)
	}
}

func TestIndex(t *testing.T) {
	x := NewIndex(0)
	const n = 5000
	for i := range n {
		key := fmt.Sprintf("key%d", i)
		if added, err := x.Add([]byte(key), []byte(strings.Repeat("v", i%300))); !added || err != nil {
			t.Fatal(added, err)
		}
		if added, _ := x.Add([]byte(key), []byte("other")); added {
			t.Fatal("added twice")
		}
	}
	for i := range n {
		if v, ok := x.Get(fmt.Sprintf("key%d", i)); !ok || len(v) != i%300 {
			t.Fatalf("%d: %q %v", i, v, ok)
		}
	}
	if _, ok := x.Get("key"); ok || x.Len() != n {
		t.Error(ok, x.Len())
	}
}

// A file is read again when it has changed, at most once a second, and one
// that is away is an outage until it is back.
func TestFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	now := time.Now().Add(time.Hour)
	reads := 0
	f := NewFile(path, Limits{Size: 10}, func() time.Time { return now }, func(in io.Reader, _ int64) (string, error) {
		reads++
		b, err := io.ReadAll(in)
		return string(b), err
	})
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string, wantReads int) {
		t.Helper()
		got, err := f.Get()
		if err != nil {
			got = fail.KindOf(err).String()
		}
		if got != want || reads != wantReads {
			t.Errorf("%q after %d reads, want %q after %d", got, reads, want, wantReads)
		}
	}
	expect("unavailable", 0)
	put("one")
	expect("unavailable", 0)
	now = now.Add(every)
	expect("one", 1)
	now = now.Add(every)
	expect("one", 1)
	put("second")
	expect("one", 1)
	now = now.Add(every)
	expect("second", 2)
	put("far too long")
	now = now.Add(every)
	expect("unavailable", 2)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	put("third")
	now = now.Add(every)
	expect("third", 3)
}

// A change within the resolution of the file's times is not missed.
func TestFileChangesTwiceAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	reads := 0
	f := NewFile(path, Limits{}, func() time.Time { return now }, func(io.Reader, int64) (int, error) { reads++; return reads, nil })
	for range 5 {
		_, _ = f.Get()
		now = now.Add(every)
	}
	if reads < 2 || reads > 4 {
		t.Errorf("read %d times", reads)
	}
}

func FuzzReadPairs(f *testing.F) {
	f.Add("key v\n more\n# c\n\"a b\"@c d\n")
	f.Add(" x\n\\\" v")
	f.Fuzz(func(t *testing.T, in string) {
		x, err := ReadPairs(NewLines("f", strings.NewReader(in), Limits{Line: 200, Entries: 50}, nil), 0, nil)
		if err != nil {
			return
		}
		for k, v := range x.All() {
			if got, ok := x.Get(k); !ok || got != v || k == "" || v == "" {
				t.Fatalf("%q: %q, %q %v", k, v, got, ok)
			}
		}
	})
}
