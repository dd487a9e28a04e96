package seal

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

func ends(t testing.TB) (*Sealer, *Opener) {
	t.Helper()
	key, name := NewKey()
	if name == "" || len(name) > MaxName {
		t.Fatalf("name %q", name)
	}
	sent, err := ParseKey(key.Hex())
	if err != nil || sent != key {
		t.Fatalf("%v, %v", sent == key, err)
	}
	s, err := NewSealer(sent)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewOpener(key)
	if err != nil {
		t.Fatal(err)
	}
	return s, o
}

var at = time.Unix(1700000000, 0)

// A token is worth one session of the login it was made for, in its time.
func TestTokenIsOpenedOnce(t *testing.T) {
	s, o := ends(t)
	other, _ := ends(t)
	login := Login{77, 5}
	fresh := func() string { return s.Seal(login, []byte("USER\t5\talice"), at.Add(30*time.Second)) }
	token := fresh()
	if got, err := o.Open(login, token, at); err != nil || string(got) != "USER\t5\talice" {
		t.Fatalf("%q, %v", got, err)
	}
	changed := []byte(fresh())
	changed[len(changed)/2] ^= 1
	for what, c := range map[string]struct {
		login Login
		token string
		now   time.Time
	}{
		"again":                {login, token, at},
		"another client":       {Login{78, 5}, fresh(), at},
		"another request":      {Login{77, 6}, fresh(), at},
		"too late":             {login, fresh(), at.Add(30 * time.Second)},
		"changed":              {login, string(changed), at},
		"cut":                  {login, fresh()[:20], at},
		"empty":                {login, "", at},
		"not base64":           {login, "%%%", at},
		"sealed by a stranger": {login, other.Seal(login, []byte("USER\t5\talice"), at.Add(time.Hour)), at},
		"longer than any":      {login, strings.Repeat("A", MaxToken+1), at},
	} {
		if got, err := o.Open(c.login, c.token, c.now); !fail.Is(err, fail.Denied) || got != nil {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
}

func TestLongRecordIsNotSealed(t *testing.T) {
	s, o := ends(t)
	if token := s.Seal(Login{}, make([]byte, MaxRecord+1), at); token != "" {
		t.Error("a record over the limit has a token")
	}
	token := s.Seal(Login{}, make([]byte, MaxRecord), at.Add(1))
	if got, err := o.Open(Login{}, token, at.Add(-1)); err != nil || len(got) != MaxRecord || len(token) > MaxToken {
		t.Errorf("%d bytes in a token of %d, %v", len(got), len(token), err)
	}
}

func TestParseKeyRefuses(t *testing.T) {
	for _, s := range []string{"", "00", strings.Repeat("0", 62), strings.Repeat("0", 66), strings.Repeat("x", 64)} {
		if _, err := ParseKey(s); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// In whatever order numbers come, none is taken twice, and one that is not
// overtaken by a whole window is taken.
func TestWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var w window
	taken := map[uint64]bool{}
	next := uint64(1)
	for range 200000 {
		number := next
		switch rng.IntN(100) {
		case 0: // a jump
			number += uint64(rng.IntN(2 * windowSize))
		case 1, 2, 3, 4, 5: // late, or again
			number -= min(number-1, uint64(rng.IntN(windowSize+100)))
		}
		old := next > windowSize && number < next-windowSize
		if got, want := w.take(number), !taken[number] && !old; got != want {
			t.Fatalf("number %d, the next would be %d: %v", number, next, got)
		}
		taken[number] = true
		next = max(next, number+1)
	}
}

func FuzzOpen(f *testing.F) {
	s, o := ends(f)
	f.Add(s.Seal(Login{1, 2}, []byte("USER\t2\ta"), at), uint32(1), uint32(2))
	f.Add("", uint32(0), uint32(0))
	f.Add("AAAAAAAAAAA", uint32(0), uint32(0))
	f.Fuzz(func(t *testing.T, token string, pid, id uint32) {
		if got, err := o.Open(Login{pid, id}, token, at); err == nil {
			t.Errorf("opened: %q", got) // the one that is genuine has expired
		}
	})
}
