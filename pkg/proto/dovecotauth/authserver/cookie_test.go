package authserver

import (
	"strings"
	"testing"
	"time"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// CVE-2026-27856: a secret was compared octet by octet, so that its beginning
// could be found out by the time that an answer took. A cookie that is nearly
// right is wrong like any other: same answer, nothing used up, nothing learnt of
// what there is to redeem. (That subtle compares is what redeem's code says; no
// test on a loaded machine could measure it.)
func TestCookiesThatAreNearlyRight(t *testing.T) {
	const cookie = "0123456789abcdef0123456789abcdef"
	g := newLogins(time.Minute, 10, time.Now)
	g.enter(77, cookie)
	if !g.grant(77, grant{id: 1, user: "alice"}) {
		t.Fatal("not granted")
	}
	var words string
	for _, wrong := range []string{"", "0", cookie[:16], cookie[:31], cookie + "0", "1" + cookie[1:], cookie[:31] + "0", strings.ToUpper(cookie), cookie + cookie, strings.Repeat("\x00", 32)} {
		for _, id := range []uint32{1, 2} { // a login that waits, and none
			_, err := g.redeem(77, id, wrong)
			if !fail.Is(err, fail.Denied) {
				t.Fatalf("%q: %v", wrong, err)
			}
			if words == "" {
				words = err.Error()
			}
			if err.Error() != words {
				t.Errorf("%q is told %q, others %q", wrong, err, words)
			}
		}
	}
	if got, err := g.redeem(77, 1, cookie); err != nil || got.user != "alice" {
		t.Errorf("with the right one: %v, %v", got, err)
	}
}
