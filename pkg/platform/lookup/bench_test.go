package lookup

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// big makes a table with n addresses and returns how many bytes its keys and
// values have.
func big(tb testing.TB, n int) (spec string, text int) {
	tb.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "user%07d@domain%03d.example\tmailbox%07d@example.org\n", i, i%1000, i)
	}
	path := filepath.Join(tb.TempDir(), "big")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		tb.Fatal(err)
	}
	return "texthash:" + path, b.Len() - 2*n
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// An entry costs little more than its text.
func TestMemoryOfAnEntry(t *testing.T) {
	const n = 200_000
	spec, text := big(t, n)
	before := heap()
	table, err := Open(spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(t.Context(), table); err != nil {
		t.Fatal(err)
	}
	if more := (heap() - before - text) / n; more > 20 {
		t.Errorf("%d bytes an entry beside its text", more)
	}
	runtime.KeepAlive(table)
}

// BenchmarkMillion looks keys up in a table of a million entries.
func BenchmarkMillion(b *testing.B) {
	const n = 1_000_000
	spec, text := big(b, n)
	before := heap()
	table, err := Open(spec, Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := Check(b.Context(), table); err != nil {
		b.Fatal(err)
	}
	more := float64(heap()-before-text) / n
	keys := make([]string, 1024)
	for i := range keys {
		k := i * 977 % n
		keys[i] = fmt.Sprintf("user%07d@domain%03d.example", k, k%1000)
	}
	b.ResetTimer()
	for i := range b.N {
		if _, err := table.Lookup(b.Context(), keys[i&1023]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(more, "overhead-B/entry")
}

// BenchmarkRead reads a table of a million entries.
func BenchmarkRead(b *testing.B) {
	spec, _ := big(b, 1_000_000)
	for b.Loop() {
		table, err := Open(spec, Options{})
		if err != nil {
			b.Fatal(err)
		}
		if err := Check(b.Context(), table); err != nil {
			b.Fatal(err)
		}
	}
}
