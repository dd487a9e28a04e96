package yescrypt

import "testing"

// Made with libxcrypt 4.4.33. The first fits in memory that needs no first pass
// over a part of it, the others do not.
func TestKey(t *testing.T) {
	var m Memory
	for _, tc := range []struct {
		password, salt string
		n, r           int
		want           string
	}{
		{"a", "abcdefghijklmnop", 1 << 10, 8, "ZThiz13EG/YBET..NeeKTgyLSmod9rKF473a4cYN8G/"},
		{"sésame Ouvre-toi", "", 1 << 10, 8, "/VmxpNttS4CjQ3oGApG7KNfDS1ysVERvGXaxGKzLPQ4"},
		{"sésame Ouvre-toi", "F5Jx5fExrKuPp53xLKQ..1", 1 << 12, 32, "eWb5GiRLlp.2keMmNSUaxAikXlqY3sAV8ntYYReRFc8"},
		{"sésame Ouvre-toi", "abcdefgh", 1 << 11, 32, "SCY7iN4NolzvCqr/IStDT.2AmGh2tRdjRJw/htKKuR5"},
	} {
		salt, ok := Decode(tc.salt)
		if !ok {
			t.Fatal(tc.salt)
		}
		key := m.Key([]byte(tc.password), salt, tc.n, tc.r)
		if got := Encode(key[:]); got != tc.want {
			t.Errorf("%q, N=%d, r=%d: %s, want %s", tc.password, tc.n, tc.r, got, tc.want)
		}
	}
}

func TestGOST(t *testing.T) {
	var m Memory
	salt, _ := Decode("abcdefghijklmnop")
	key := m.Key([]byte("a"), salt, 1<<10, 8)
	key = GOST([]byte("a"), "$gy$j75$abcdefghijklmnop", key)
	if got := Encode(key[:]); got != "TAXsGTpMtx0RUvgCIwDjRxUOOCaIJgZHvF1G5Blndh7" {
		t.Error(got)
	}
}

func TestWipe(t *testing.T) {
	var m Memory
	m.Key([]byte("secret"), []byte("salt"), 64, 8)
	m.Wipe()
	for _, all := range [][]uint64{m.v, m.x} {
		for i, w := range all {
			if w != 0 {
				t.Fatalf("word %d of %d survives", i, len(all))
			}
		}
	}
	if m.all != [3]table{} {
		t.Fatal("a table survives")
	}
}

func TestBase64(t *testing.T) {
	for text, want := range map[string]string{"": "", "/.": "\x01", "zz/": "\xff\x1f", "zzzz": "\xff\xff\xff"} {
		b, ok := Decode(text)
		if !ok || string(b) != want || Encode(b) != text {
			t.Errorf("%q: %q %v, back %q", text, b, ok, Encode(b))
		}
	}
	for _, text := range []string{"a", "zz", "ab!d", "zzzzz"} {
		if b, ok := Decode(text); ok {
			t.Errorf("%q is %q", text, b)
		}
	}
}

func BenchmarkKey(b *testing.B) {
	var m Memory
	b.ReportAllocs()
	for b.Loop() {
		m.Key([]byte("secret"), []byte("saltsalt"), 4096, 32)
	}
}
