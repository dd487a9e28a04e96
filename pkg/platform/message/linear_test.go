package message

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// Messages that are made to cost: the parser's time goes with their size, which
// the fuzz targets and CVE-2020-12100's tests watch, and what it allocates is
// bounded here, whatever they hold.
func TestParserAllocatesLittle(t *testing.T) {
	const header = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n"
	parts := header + "\n" + strings.Repeat("--b\nContent-Type: text/plain\n\nx\n", 10_000) + "--b--\n"
	var deep strings.Builder
	for i := range 100 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	for _, c := range []struct {
		name, message string
		allocs        float64 // in all
		parts         int
	}{
		// A part is a value of its own with its strings.
		{"10 000 parts", parts, 120_000, 10_000},
		{"20 000 parts, of which 10 000 count", strings.ReplaceAll(parts, "--b--\n", parts[len(header)+1:]), 120_000, 10_000},
		{"100 levels", deep.String(), 3_000, 100},
		{"10 MiB of headers in one field", "X: " + strings.Repeat("y", 10<<20) + "\n\nbody\n", 200, 1},
		{"10 MiB of headers in short fields", strings.Repeat("X: y\n", 2<<20) + "\nbody\n", 200, 1},
		{"20 MiB of headers, cut", strings.Repeat("X: y\n", 4<<20) + "\nbody\n", 200, 1},
		{"10 MiB of parameters", "Content-Type: text/plain" + strings.Repeat(";\n a*0*=%41", 1<<20) + "\n\nbody\n", 5_000, 1},
		{"10 MiB of a boundary that is none", header + "\n" + strings.Repeat("--c\n", 5<<19) + "--b\n\nx\n", 300, 2},
		{"10 MiB without a line end", "Subject: x\n\n" + strings.Repeat("x", 10<<20), 200, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var q Parser
			n := 0
			allocs := testing.AllocsPerRun(1, func() {
				p, err := q.Parse(bytes.NewReader([]byte(c.message)), DefaultLimits())
				if err != nil {
					t.Fatal(err)
				}
				n = 0
				for range p.Walk() {
					n++
				}
			})
			if allocs > c.allocs || n > c.parts+1 || n < c.parts {
				t.Errorf("%v allocations, %d parts; want at most %v, %d", allocs, n, c.allocs, c.parts)
			}
		})
	}
}

// Twice the message is twice the allocations, not four times.
func TestParserIsLinear(t *testing.T) {
	for name, unit := range map[string]string{
		"parts":     "--b\nContent-Type: text/plain; a=b; c*=utf-8''d\n\nx\n",
		"digests":   "--b\nContent-Type: message/rfc822\n\nSubject: x\nTo: a@b\n\nx\n",
		"addresses": "--b\nContent-Type: message/rfc822\n\nTo: g: a@b, c@d;, e@f\n\n",
	} {
		cost := func(n int) float64 {
			text := []byte("Content-Type: multipart/mixed; boundary=b\n\n" + strings.Repeat(unit, n))
			var q Parser
			return testing.AllocsPerRun(1, func() {
				if _, err := q.Parse(bytes.NewReader(text), DefaultLimits()); err != nil {
					t.Fatal(err)
				}
			})
		}
		if a, b := cost(1000), cost(4000); b > 4.2*a+100 {
			t.Errorf("%s: %v allocations for 1000, %v for 4000", name, a, b)
		}
	}
}
