package bcrypt

import (
	"math/rand/v2"
	"strings"
	"testing"

	reference "golang.org/x/crypto/bcrypt"
)

func (st *State) text(password, setting string) string {
	salt, ok := DecodeSalt(setting[7:])
	if !ok {
		return "bad salt"
	}
	cost := 10*int(setting[4]-'0') + int(setting[5]-'0')
	return setting + st.Hash(password, salt, setting[2], cost)
}

// For 2b and 2y it is what golang.org/x/crypto computes.
func TestSameAsReference(t *testing.T) {
	var st State
	random := rand.New(rand.NewPCG(1, 2))
	for length := 0; length <= MaxPassword; length += 9 {
		password := make([]byte, length)
		for i := range password {
			password[i] = byte(1 + random.IntN(255))
		}
		want, err := reference.GenerateFromPassword(password, MinCost)
		if err != nil {
			t.Fatal(err)
		}
		want[2] = "by"[length%2]
		if got := st.text(string(password), string(want[:29])); got != string(want) {
			t.Errorf("%q: %s, want %s", password, got, want)
		}
	}
}

// Made with libxcrypt 4.4.33.
func TestVariants(t *testing.T) {
	var st State
	for _, tc := range []struct{ password, hash string }{
		{"a", "$2a$04$arICc5c6Fh5BROiScWO8/eAYdpVmY2R5UJc7iKWabNNGcGkZJtCXu"},
		{"secret", "$2a$04$arICc5c6Fh5BROiScWO8/eS5zq0Bz8b3ks8.UBIyXgLOa0rNr71fi"},
		{"sésame Ouvre-toi", "$2a$04$arICc5c6Fh5BROiScWO8/egTwv.OOwyxW7AdZqXskeduUvt94kuRu"},
		{"0123456789abcdef", "$2a$04$arICc5c6Fh5BROiScWO8/e0FdYbHUrjDBnsYSbjqqrG2maKokx5PC"},
		{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy", "$2a$04$arICc5c6Fh5BROiScWO8/e/QQO2Kg6zlF3MGxOsuTGiIsKwsCg8p."},
		{"\xff\xa3345", "$2a$04$arICc5c6Fh5BROiScWO8/emjnZEMYEiYnBJ8MRDspvWRISkl5BO5K"},
		{"\xff\xff\xa3", "$2a$04$arICc5c6Fh5BROiScWO8/e/KNolig/xdOCtFOWEQnQHn5arpdyd0y"},
		{"\xa3", "$2a$04$arICc5c6Fh5BROiScWO8/ehEFg3DDgQGQunc3.I2zTiKkTrX4.ik."},
		{"1\xa3 345", "$2a$04$arICc5c6Fh5BROiScWO8/e1aKsTs7l1NsKNLIIS5DTwHI1mzSxTk."},
		{"ё", "$2a$04$arICc5c6Fh5BROiScWO8/ehzNXcMFGM9FA.tQli.XH9fXOsMCB9ca"},
		{"long long long long long long long long long long long long long long long long long long long long ", "$2a$04$arICc5c6Fh5BROiScWO8/eNMROuPKcKutWhcJ70LJTO0nv0xbsu6m"},
		{"7bit\x80and more", "$2a$04$arICc5c6Fh5BROiScWO8/ehlx7tK0OOruUZ2bA.e/DAet0aELDDNa"},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", "$2a$04$arICc5c6Fh5BROiScWO8/eIffcjkCqfbxiT8KNKnyGuP0Je6/0NaO"},
		{"", "$2a$04$arICc5c6Fh5BROiScWO8/exfqkGWzc995gUxohJM47wPRv13V/7Me"},
		{"a", "$2x$04$arICc5c6Fh5BROiScWO8/eAYdpVmY2R5UJc7iKWabNNGcGkZJtCXu"},
		{"secret", "$2x$04$arICc5c6Fh5BROiScWO8/eS5zq0Bz8b3ks8.UBIyXgLOa0rNr71fi"},
		{"sésame Ouvre-toi", "$2x$04$arICc5c6Fh5BROiScWO8/ehvHZDeEZUeqx9ghApIEaF8Pnzqt5zVK"},
		{"0123456789abcdef", "$2x$04$arICc5c6Fh5BROiScWO8/e0FdYbHUrjDBnsYSbjqqrG2maKokx5PC"},
		{"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxy", "$2x$04$arICc5c6Fh5BROiScWO8/e/QQO2Kg6zlF3MGxOsuTGiIsKwsCg8p."},
		{"\xff\xa3345", "$2x$04$arICc5c6Fh5BROiScWO8/emI.y7.luZJ7P3bvubOFtpogAKorjro2"},
		{"\xff\xff\xa3", "$2x$04$arICc5c6Fh5BROiScWO8/ecvqpIzx0MFgFNApIN0FK0r7lK.Qfyii"},
		{"\xa3", "$2x$04$arICc5c6Fh5BROiScWO8/ecvqpIzx0MFgFNApIN0FK0r7lK.Qfyii"},
		{"1\xa3 345", "$2x$04$arICc5c6Fh5BROiScWO8/ecxsUa5Hw1yvarGv5LaDSu.SrTpAmhNS"},
		{"ё", "$2x$04$arICc5c6Fh5BROiScWO8/eZ4zsDAa.VUx5LPub1jpN7CshsoXgOzi"},
		{"long long long long long long long long long long long long long long long long long long long long ", "$2x$04$arICc5c6Fh5BROiScWO8/eNMROuPKcKutWhcJ70LJTO0nv0xbsu6m"},
		{"7bit\x80and more", "$2x$04$arICc5c6Fh5BROiScWO8/e/VGJHy9QjJVL4N/X8cVAb9ukzOga0Se"},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", "$2x$04$arICc5c6Fh5BROiScWO8/ekQn3wM/S/PTA5akB2O3e6E4rB.2q74O"},
		{"", "$2x$04$arICc5c6Fh5BROiScWO8/exfqkGWzc995gUxohJM47wPRv13V/7Me"},
	} {
		if got := st.text(tc.password, tc.hash[:29]); got != tc.hash {
			t.Errorf("%q: %s, want %s", tc.password, got, tc.hash)
		}
	}
}

func TestWipe(t *testing.T) {
	var st State
	st.text("secret", "$2y$04$"+strings.Repeat(".", SaltLen))
	if st == (State{}) {
		t.Error("nothing was kept")
	}
	if st.Wipe(); st != (State{}) {
		t.Error("something survives")
	}
}

func BenchmarkHash(b *testing.B) {
	var st State
	for b.Loop() {
		st.text("correct horse", "$2y$08$arICc5c6Fh5BROiScWO8/e")
	}
}

func BenchmarkReference(b *testing.B) {
	for b.Loop() {
		_ = reference.CompareHashAndPassword([]byte("$2y$08$arICc5c6Fh5BROiScWO8/eQZnQUT47o8ocU0lMiMtHM5s6/t0sn7i"), []byte("correct horse"))
	}
}
