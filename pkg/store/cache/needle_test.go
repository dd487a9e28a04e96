package cache

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestNeedleIsFoundWhereBytesFindsIt(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		letters := "AZ "[:1+rnd.IntN(3)] // few letters: much that nearly matches
		some := func(most int) []byte {
			b := make([]byte, rnd.IntN(most))
			for i := range b {
				b[i] = letters[rnd.IntN(len(letters))]
			}
			return b
		}
		text := some(2000)
		want := append(some(5), letters[0])
		n := newNeedle(want)
		if got, exp := n.index(text), bytes.Index(text, want); got != exp {
			t.Fatalf("index(%q, %q) = %d, want %d", text, want, got, exp)
		}
	}
}

func TestNeedleLooksForItsRarestByte(t *testing.T) {
	for text, rare := range map[string]string{
		"INVOICE": "V", "EAT": "T", "X": "X", "ПРИВЕТ"[:2]: "\x9f", "A\x00B": "\x00",
	} {
		if n := newNeedle([]byte(text)); text[n.rare:n.rare+1] != rare {
			t.Errorf("%q is looked for by %q, want %q", text, text[n.rare:n.rare+1], rare)
		}
	}
}

func BenchmarkNeedle(b *testing.B) {
	words := strings.Fields("MEETING NOTES FOR THE REVIEW OF YOUR INVOICES RE: FWD: WEEKLY REPORT LUNCH AGENDA VPN")
	rnd := rand.New(rand.NewPCG(1, 2))
	var text []byte
	for len(text) < 50_000 {
		text = append(append(text, words[rnd.IntN(len(words))]...), ' ')
	}
	for _, what := range []string{"INVOICE 17", "ZEBRA", "EATEN"} {
		n := newNeedle([]byte(what))
		for name, find := range map[string]func() int{
			"ours": func() int { return n.index(text) }, "bytes": func() int { return bytes.Index(text, n.text) },
		} {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					find()
				}
			})
		}
	}
}
