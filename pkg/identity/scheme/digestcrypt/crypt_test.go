package digestcrypt

import "testing"

// Made with libxcrypt 4.4.33; the table of package scheme has more.
func TestCrypt(t *testing.T) {
	for _, tc := range []struct{ name, got, want string }{
		{"SHA-512", SHA512("secret", "sixteencharsalt.", 1234), "qjnk9wS4L6LAtKH1YnIEVqT9vZom1DRoRSP673OZ/k4P5h2vmiJROUnDkMOzPQOAN87C6JtQjU.CUpUTZfJPN."},
		{"SHA-256", SHA256("secret", "saltstring", 5000), "C3o4O1TC6aRHF4FI.QSZMXtHbaj2gSXr4sUc/3NcUi."},
		{"MD5", MD5("secret", "abcdefgh"), "cHJi5PXp/ki/ktXzqlk6I1"},
		{"SHA-1", SHA1("secret", "abcdefgh", 1000), "ji8ESnkwjcTjo4hThodnLYyi.3yG"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, tc.got, tc.want)
		}
	}
}

// A round must not allocate: one login runs hundreds of thousands.
func TestRoundsDoNotAllocate(t *testing.T) {
	few := testing.AllocsPerRun(3, func() { SHA512("secret", "salt", 1000) })
	many := testing.AllocsPerRun(3, func() { SHA512("secret", "salt", 5000) })
	if many > few+100 { // the runtime may allocate something beside
		t.Errorf("%v allocations in 5000 rounds, %v in 1000", many, few)
	}
}
