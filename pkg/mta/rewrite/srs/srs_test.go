package srs

import (
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/addr"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const testKey = "a key for the tests"

func rewriter(t testing.TB, domain string, now *time.Time, keys ...string) *Rewriter {
	t.Helper()
	r, err := New(domain, append([]string{testKey}, keys...), 21, func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func parse(t testing.TB, s string) addr.Address {
	t.Helper()
	a, err := addr.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestForwardAndBack(t *testing.T) {
	now := time.Unix(1700000000, 0)
	ours, second, third := rewriter(t, "ours.example", &now), rewriter(t, "second.example", &now, "one more key to verify with"), rewriter(t, "third.example", &now)
	sender := parse(t, "Joe.Bloggs+x=y@far.example")
	one, err := ours.Forward(sender)
	if err != nil || !strings.HasPrefix(one.Local, "SRS0=") || !strings.HasSuffix(one.Local, "=far.example=Joe.Bloggs+x=y") || one.Domain != "ours.example" {
		t.Fatal(one, err)
	}
	if back, err := ours.Reverse(one); err != nil || back != sender {
		t.Error(back, err)
	}
	two, err := second.Forward(one)
	if err != nil || !strings.HasPrefix(two.Local, "SRS1=") || !strings.Contains(two.Local, "=ours.example==") {
		t.Fatal(two, err)
	}
	three, err := third.Forward(two)
	if err != nil || !strings.Contains(three.Local, "=ours.example==") || len(three.Local) != len(two.Local) {
		t.Fatal("an address does not grow after the second host:", three, err)
	}
	for _, a := range []struct {
		r  *Rewriter
		in addr.Address
	}{{second, two}, {third, three}} {
		if back, err := a.r.Reverse(a.in); err != nil || back != one {
			t.Errorf("%s: %s, %v; want the first host's address", a.in, back, err)
		}
	}
	if again, err := ours.Forward(one); err != nil || again != one {
		t.Error("our own address was rewritten:", again, err)
	}
	if null, err := ours.Forward(addr.Address{}); err != nil || !null.Null() {
		t.Error(null, err)
	}
}

func TestReverseRefuses(t *testing.T) {
	now := time.Unix(1700000000, 0)
	r := rewriter(t, "ours.example", &now)
	good, err := r.Forward(parse(t, "joe@far.example"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reverse(addr.Address{Local: strings.ToLower(good.Local), Domain: good.Domain}); err != nil {
		t.Error("a host on the way changed the case:", err)
	}
	old, err := New("ours.example", []string{"another key, the new", testKey}, 21, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Reverse(good); err != nil {
		t.Error("the key before the new one is not accepted:", err)
	}
	for _, a := range []addr.Address{
		{Local: strings.Replace(good.Local, "=joe", "=ann", 1), Domain: good.Domain},
		{Local: strings.Replace(good.Local, "=far.", "=fax.", 1), Domain: good.Domain},
		{Local: good.Local, Domain: "other.example"},
		{Local: "joe", Domain: "ours.example"},
		{Local: "SRS0=", Domain: "ours.example"},
		{Local: "SRS0=x", Domain: "ours.example"},
		{Local: "SRS0=aaaa=bb", Domain: "ours.example"},
		{Local: "SRS0=aaaa=bb=c", Domain: "ours.example"},
		{Local: "SRS1=aaaa=c", Domain: "ours.example"},
		{Local: "SRS1=aaaa=c=", Domain: "ours.example"},
		{Local: "SRS1=aaaa=c=x", Domain: "ours.example"},
	} {
		if back, err := r.Reverse(a); !fail.Is(err, fail.NotFound) {
			t.Errorf("%s leads to %s, %v", a, back, err)
		}
	}
	now = now.Add(21 * 24 * time.Hour)
	if _, err := r.Reverse(good); err != nil {
		t.Error("three weeks are not too old:", err)
	}
	now = now.Add(24 * time.Hour)
	if _, err := r.Reverse(good); !fail.Is(err, fail.NotFound) {
		t.Error("an old address still works:", err)
	}
	now = time.Unix(1700000000-2*86400, 0)
	if _, err := r.Reverse(good); !fail.Is(err, fail.NotFound) {
		t.Error("an address from the future works:", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, keys := range [][]string{nil, {""}, {"short"}} {
		if _, err := New("ours.example", keys, 21, time.Now); !fail.Is(err, fail.Invalid) {
			t.Errorf("%q: %v", keys, err)
		}
	}
	if r, err := New("ours.example", []string{testKey}, 21, time.Now); err != nil {
		t.Error(err)
	} else if _, err := r.Forward(addr.Address{Local: strings.Repeat("x", 250), Domain: "far.example"}); !fail.Is(err, fail.Invalid) {
		t.Error("too long:", err)
	}
}

// Nobody makes an address that leads anywhere without the key, and what we
// make leads back.
func FuzzReverse(f *testing.F) {
	for _, s := range []string{"SRS0=aaaa=bb=c.example=d", "SRS1=aaaa=c.example==bbbb=cc=d.example=e", "srs0+x", "joe"} {
		f.Add(s)
	}
	now := time.Unix(1700000000, 0)
	r := rewriter(f, "ours.example", &now)
	f.Fuzz(func(t *testing.T, local string) {
		a, err := addr.Parse(addr.Address{Local: local, Domain: "ours.example"}.String())
		if err != nil {
			return
		}
		if back, err := r.Reverse(a); err == nil {
			t.Fatalf("%s leads to %s", a, back)
		}
		a.Domain = "far.example"
		fwd, err := r.Forward(a)
		if err != nil {
			return
		}
		back, err := r.Reverse(fwd)
		if kind, _ := tag(a.Local); kind < 0 && (err != nil || back != a) {
			t.Fatalf("%s became %s, which leads to %s, %v", a, fwd, back, err)
		}
	})
}
