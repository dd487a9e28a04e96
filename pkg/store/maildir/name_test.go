package maildir

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSplitAndJoin(t *testing.T) {
	for _, c := range []struct {
		file, base string
		info       Info
		joined     string // how we write it; empty means unchanged
	}{
		{"1795442559.M291697P20153.vm,S=3237,W=3547:2,Fabc", "1795442559.M291697P20153.vm,S=3237,W=3547", Info{Flagged, 7, ""}, ""},
		{"1.x:2,DFPRST", "1.x", Info{0x3f, 0, ""}, ""},
		{"1.x", "1.x", Info{}, "1.x:2,"},
		{"1.x:2,", "1.x", Info{}, ""},
		{"1.x:2,TS", "1.x", Info{Seen | Deleted, 0, ""}, "1.x:2,ST"},
		{"1.x:2,RSZ", "1.x", Info{Answered | Seen, 0, "Z"}, ""}, // Z: an admin's mark for compressed files
		{"1.x:2,SZab", "1.x", Info{Seen, 3, "Z"}, ""},
		{"1.x:2,S,keep=this", "1.x", Info{Seen, 0, ",keep=this"}, ""},
		{"1.x:2,XS,y,z", "1.x", Info{Seen, 0, "X,y,z"}, "1.x:2,SX,y,z"},
		{"1.x:1,foo", "1.x", Info{}, "1.x:2,"},
		{"1.x:", "1.x", Info{}, "1.x:2,"},
	} {
		base, info := Split(c.file)
		if base != c.base || info != c.info {
			t.Errorf("%s: %q %+v", c.file, base, info)
		}
		want := c.joined
		if want == "" {
			want = c.file
		}
		if got := Usual(c.file); got != (c.joined == "" && info.Odd == "") {
			t.Errorf("%s: usual is %v", c.file, got)
		}
		if got := Join(base, info); got != want {
			t.Errorf("%s: joined %s, want %s", c.file, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for base, want := range map[string][2]int64{
		"1.x,S=3237,W=3547":  {3237, 3547},
		"1.x,W=3547,S=3237":  {3237, 3547},
		"1.x,S=3237":         {3237, -1},
		"1.x":                {-1, -1},
		"1.S=5.x":            {-1, -1},
		"1.x,S=-1,W=x,Q=4":   {-1, -1},
		"1.x,S=1,U=2,W=3,ab": {1, 3},
		"1.x,S=,W=+7":        {-1, 7},
		"1.x,S=9223372036854775807,W=9223372036854775808": {1<<63 - 1, -1},
	} {
		if s, w := Sizes(base); s != want[0] || w != want[1] {
			t.Errorf("%s: %d %d, want %v", base, s, w, want)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	n := NewNamer("a/b:c", 7, func() time.Time { return time.Unix(100, 5000) }) // a clock that stands still
	if got := n.Next(); got != `100.M5P7.a\057b\072c` {
		t.Errorf("first name %s", got)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	seen := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			for range 100 {
				s := n.Next()
				mu.Lock()
				if seen[s] {
					t.Errorf("%s given twice", s)
				}
				seen[s] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}

func TestMUTF7(t *testing.T) {
	for name, want := range map[string]string{
		"INBOX": "INBOX", "Töst": "T&APY-st", "a&b": "a&-b", "&": "&-", "日本語": "&ZeVnLIqe-", "Entwürfe": "Entw&APw-rfe",
		"~peter/mail/台北/日本語": "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "😀": "&2D3eAA-",
	} {
		if got := EncodeMUTF7(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if got, ok := DecodeMUTF7(want); !ok || got != name {
			t.Errorf("%s: back %s %v", want, got, ok)
		}
	}
	for _, bad := range []string{"&", "a&b", "&AGE-", "&AP-", "&!!!-", "ü", "&2D0-", "&APY-&APY-", "&APY"} {
		if got, ok := DecodeMUTF7(bad); ok {
			t.Errorf("%q is not canonical, but decoded to %q", bad, got)
		}
	}
}

func TestMUTF7RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "name")
		if got, ok := DecodeMUTF7(EncodeMUTF7(s)); !ok || got != s {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

func FuzzSplit(f *testing.F) {
	f.Add("1.M2P3.h,S=4,W=5:2,FSab,x")
	f.Fuzz(func(t *testing.T, file string) {
		base, info := Split(file)
		if Usual(file) != (Join(base, info) == file && info.Odd == "") {
			t.Fatalf("%q: usual is %v", file, Usual(file))
		}
		again, info2 := Split(Join(base, info))
		if again != base || info2 != info {
			t.Fatalf("%q: %q %+v, then %q %+v", file, base, info, again, info2)
		}
		Sizes(file)
		DecodeMUTF7(file)
	})
}

func TestSavedAt(t *testing.T) {
	for base, want := range map[string]int64{
		"1794700800.M1P2.host,S=1,W=2": 1794700800,
		"999999999.1_1.host":           999999999,
		"1794700800":                   0,
		"12345.M1P2.host":              0,
		"17947008001.M1.host":          0,
		"+794700800.M1.host":           0,
		"message-17":                   0,
		"":                             0,
	} {
		if got := SavedAt(base); want == 0 && !got.IsZero() || want != 0 && got.Unix() != want {
			t.Errorf("SavedAt(%q) = %v, want %d", base, got, want)
		}
	}
}

// Names are sorted as comparing each pair would, whatever seconds, microseconds
// and texts they have, and those that are alike stay in their order.
func TestSortByArrival(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	number := func() string {
		switch r.IntN(4) {
		case 0:
			return ""
		case 1:
			return strconv.FormatUint(r.Uint64(), 10) + strings.Repeat("9", r.IntN(3))
		case 2:
			return strconv.Itoa(r.IntN(4))
		}
		return strconv.Itoa(1_795_442_559 + r.IntN(300))
	}
	type item struct {
		base string
		i    int
	}
	for range 300 {
		list := make([]item, r.IntN(60))
		for i := range list {
			base := number()
			if r.IntN(2) == 0 {
				base += ".M" + number()
			}
			list[i] = item{base + "." + string(rune('a'+r.IntN(3))), i}
		}
		want := slices.Clone(list)
		slices.SortStableFunc(want, func(a, b item) int { return cmpArrival(a.base, b.base) })
		if SortByArrival(list, func(x item) string { return x.base }); !slices.Equal(list, want) {
			t.Fatalf("got  %v\nwant %v", list, want)
		}
	}
}
