package argon2

import (
	"bytes"
	"testing"

	xargon2 "golang.org/x/crypto/argon2"
	"pgregory.net/rapid"
)

// The results are those of golang.org/x/crypto for any cost, lane count and
// length; one arena serves them all in turn.
func TestSameAsReference(t *testing.T) {
	var arena Arena
	rapid.Check(t, func(t *rapid.T) {
		p := Params{
			Variant: rapid.SampledFrom([]Variant{I, ID}).Draw(t, "variant"),
			Time:    rapid.Uint32Range(1, 4).Draw(t, "time"),
			Memory:  rapid.Uint32Range(1, 700).Draw(t, "memory"),
			Lanes:   rapid.Uint32Range(1, 5).Draw(t, "lanes"),
		}
		password := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "password")
		salt := rapid.SliceOfN(rapid.Byte(), 0, 24).Draw(t, "salt")
		length := rapid.IntRange(4, 200).Draw(t, "length")
		reference := xargon2.IDKey
		if p.Variant == I {
			reference = xargon2.Key
		}
		want := reference(password, salt, p.Time, p.Memory, uint8(p.Lanes), uint32(length))
		if got := arena.Key(p, password, salt, length); !bytes.Equal(got, want) {
			t.Fatalf("%+v: got %x, want %x", p, got, want)
		}
	})
}

// Whatever computes a block on this processor does it as the Go code does, with
// and without what was there before, and into one of its arguments.
func TestCompressSameAsGeneric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) block {
			return block(rapid.SliceOfN(rapid.Uint64(), blockWords, blockWords).Draw(t, name))
		}
		b, x, y, xor := draw("b"), draw("x"), draw("y"), rapid.Bool().Draw(t, "xor")
		want := b
		want.compressGeneric(&x, &y, xor)
		if b.compress(&x, &y, xor); b != want {
			t.Fatal("not the same")
		}
		want, b = y, y
		want.compressGeneric(&x, &y, xor)
		if b.compress(&x, &b, xor); b != want {
			t.Fatal("not the same into the second argument")
		}
	})
}

func TestWipe(t *testing.T) {
	var arena Arena
	arena.Key(Params{ID, 1, 64, 1}, []byte("secret"), []byte("saltsalt"), 32)
	arena.Wipe()
	for i, b := range arena.blocks {
		if b != (block{}) {
			t.Fatalf("block %d survives", i)
		}
	}
	if arena.address != (block{}) || arena.zero != (block{}) {
		t.Fatal("addressing survives")
	}
}

func BenchmarkKey(b *testing.B) {
	var arena Arena
	for b.Loop() {
		arena.Key(Params{ID, 2, 19456, 1}, []byte("secret"), []byte("saltsaltsaltsalt"), 32)
	}
}

func BenchmarkCompress(b *testing.B) {
	var z, x, y block
	b.Run("this", func(b *testing.B) {
		for b.Loop() {
			z.compress(&x, &y, true)
		}
	})
	b.Run("generic", func(b *testing.B) {
		for b.Loop() {
			z.compressGeneric(&x, &y, true)
		}
	})
}

func BenchmarkReference(b *testing.B) {
	for b.Loop() {
		xargon2.IDKey([]byte("secret"), []byte("saltsaltsaltsalt"), 2, 19456, 1, 32)
	}
}
