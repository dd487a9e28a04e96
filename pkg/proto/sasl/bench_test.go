package sasl

import "testing"

// BenchmarkFind is a step of every login.
func BenchmarkFind(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Find("PLAIN"); !ok {
			b.Fatal("not found")
		}
	}
}
