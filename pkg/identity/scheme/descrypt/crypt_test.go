package descrypt

import (
	"crypto/des"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// Without a salt it is DES as crypto/des computes it, which proves tables and
// key schedule.
func TestIsDES(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key, block := rapid.Uint64().Draw(t, "key"), rapid.Uint64().Draw(t, "block")
		var k, b [8]byte
		binary.BigEndian.PutUint64(k[:], key)
		binary.BigEndian.PutUint64(b[:], block)
		reference, err := des.NewCipher(k[:])
		if err != nil {
			t.Fatal(err)
		}
		reference.Encrypt(b[:], b[:])
		c := newCipher()
		c.key(key)
		if got := c.repeat(block, 0, 1); got != binary.BigEndian.Uint64(b[:]) {
			t.Fatalf("key %x, block %x: %x, want %x", key, block, got, b)
		}
	})
}

// Made with libxcrypt 4.4.33.
func TestCrypt(t *testing.T) {
	for _, tc := range []struct{ password, salt, hash string }{
		{"correct horse", "ab", "hfCpXqd4GrI"},
		{"correct ", "ab", "hfCpXqd4GrI"}, // only eight characters count
	} {
		salt, ok := Number(tc.salt)
		if got := Traditional(tc.password, salt); got != tc.hash || !ok {
			t.Errorf("%q with salt %s: %s, want %s", tc.password, tc.salt, got, tc.hash)
		}
	}
	count, _ := Number("J9..")
	salt, _ := Number("K0Ay")
	if got := Extended("correct horse", salt, count); got != "MVxWU.C3O1E" || count != 725 {
		t.Errorf("extended: %s after %d rounds", got, count)
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]uint32{"": 0, ".": 0, "/": 1, "./": 64, "zzzz": 1<<24 - 1} {
		if n, ok := Number(text); n != want || !ok {
			t.Errorf("%q: %d %v, want %d", text, n, ok, want)
		}
	}
	for _, text := range []string{"-", "a:", "é."} {
		if _, ok := Number(text); ok || IsHash(text) {
			t.Errorf("%q is accepted", text)
		}
	}
}
