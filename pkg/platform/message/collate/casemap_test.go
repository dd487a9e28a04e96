package collate

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestString(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "",
		"ALREADY [x]":          "ALREADY [X]",
		"Hello, wörld":         "HELLO, WO\u0308RLD",
		"wo\u0308rld":          "WO\u0308RLD",
		"straße":               "STRAßE",   // no title case: full case mappings are not used
		"\u01c4":               "Dz\u030c", // the example of RFC 5051 section 2
		"\u01c6":               "Dz\u030c",
		"\u212a \u212b":        "K A\u030a", // Kelvin, Angstrom
		"ﬁn ①":                 "fiN 1",
		"ΣΑΣ σας":              "ΣΑΣ ΣΑΣ",
		"ПРИВЕТ привёт":        "ПРИВЕТ ПРИВЕ\u0308Т",
		"µ ſ ı":                "Μ S I",
		"İ":                    "I\u0307",
		"漢字 か\u3099 が":         "漢字 か\u3099 か\u3099",
		"각 가":                  "\u1100\u1161\u11a8 \u1100\u1161",
		"a\xffb\xe2\x82":       "A\ufffdB\ufffd\ufffd",
		"ａｂ":                   "AB",
		"e\u0301\u0323 \u1ec7": "E\u0301\u0323 E\u0323\u0302",
	} {
		if got := String(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// The order of RFC 5255 section 4.6: what could not be converted comes last.
func TestOrderOfBrokenTexts(t *testing.T) {
	broken1 := "\xd0\xc0\xd0\xbd\xd0\xb4\xd1\x80\xd0\xb5\xd0\xb9"
	sergey := "сЕРГЕЙ"
	broken3 := "\xd0\x92\xd0\xb0\xd1\x81\xd0\xb8\xd0\xbb\xd0\xb8\xff\xb9"
	alexey := "Алексей"
	for name, change := range map[string]func(string) string{
		"as it came":              func(s string) string { return s },
		"as the store decodes it": func(s string) string { return strings.ToValidUTF8(s, "\ufffd") },
	} {
		texts := []string{change(broken1), change(sergey), change(broken3), change(alexey), ""}
		want := []string{"", texts[3], texts[1], texts[2], texts[0]}
		slices.SortFunc(texts, func(a, b string) int { return strings.Compare(Key(a), Key(b)) })
		if !slices.Equal(texts, want) {
			t.Errorf("%s: %q", name, texts)
		}
	}
}

// Each character by itself, against the tables of package norm.
func TestAgainstNFKD(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		want := norm.NFKD.String(string(unicode.ToTitle(r)))
		// NFKD orders marks, which RFC 5051 does not ask for.
		if got := String(string(r)); got != want && norm.NFKD.String(got) != want {
			t.Fatalf("%U: %q, want %q", r, got, want)
		}
	}
}

func FuzzAppend(f *testing.F) {
	f.Add("Grüße, \u01c6 \xff 각")
	f.Fuzz(func(t *testing.T, s string) {
		all := Append(nil, s)
		if !utf8.Valid(all) {
			t.Fatalf("%q becomes %q", s, all)
		}
		if !bytes.Equal(all, Append(nil, []byte(s))) || string(all) != String(s) {
			t.Fatal("the forms differ")
		}
		for i := range s { // cut between characters
			if got := Append(Append(nil, s[:i]), s[i:]); !bytes.Equal(all, got) {
				t.Fatalf("%q cut at %d becomes %q", s, i, got)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for name, s := range map[string]string{
		"ascii": "The quick brown fox jumps over the lazy dog. ", "german": "Falsches Üben von Xylophonmusik quält größere Zwerge. ",
		"russian": "Съешь же ещё этих мягких французских булок. ", "chinese": "我能吞下玻璃而不伤身体。",
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(strings.Repeat(s, 100))
			dst := make([]byte, 0, 3*len(text))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				dst = Append(dst[:0], text)
			}
		})
	}
}

// Runs of ASCII are mapped eight bytes at a time: at every length and offset
// that is what mapping one byte at a time would be.
func TestRunsOfASCII(t *testing.T) {
	var all []byte
	for c := range utf8.RuneSelf {
		all = append(all, byte(c))
	}
	all = append(all, all...)
	for from := range 20 {
		for to := from; to < len(all); to += 3 {
			for _, tail := range []string{"", "é", "\xff"} {
				in := string(all[from:to]) + tail
				want := strings.Map(func(r rune) rune {
					if r < utf8.RuneSelf {
						return unicode.ToUpper(r)
					}
					return r
				}, in[:to-from]) + String(tail)
				if got := string(Append(nil, in)); got != want {
					t.Fatalf("%q: %q, want %q", in, got, want)
				}
				if got := string(Append(nil, []byte(in))); got != want {
					t.Fatalf("%q: %q, want %q", in, got, want)
				}
			}
		}
	}
}
