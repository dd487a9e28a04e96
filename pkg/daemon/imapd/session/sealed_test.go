package session

import (
	"context"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/proto/dovecotauth/userdbclient"
	"github.com/postcote/postcote/pkg/proto/handover"
)

// asked notes which way a login was taken.
type asked struct {
	redeemer
	ways []string
}

func (a *asked) Redeem(context.Context, uint32, uint32, string, int) (userdbclient.UserRecord, error) {
	a.ways = append(a.ways, "redeem")
	return userdbclient.UserRecord{User: "alice"}, nil
}

func (a *asked) Unseal(uint32, uint32, string) (userdbclient.UserRecord, error) {
	a.ways = append(a.ways, "unseal")
	return userdbclient.UserRecord{}, fail.New(fail.Denied, "used")
}

// A token that cannot be opened is refused. It is not redeemed instead: that
// would be a second way in for one login.
func TestSealedLoginIsNotRedeemed(t *testing.T) {
	a := &asked{}
	r := &role{auth: a}
	if _, err := r.who(t.Context(), &handover.Frame{Sealed: "token", Cookie: "c00c1e"}); !fail.Is(err, fail.Denied) {
		t.Errorf("%v", err)
	}
	if u, err := r.who(t.Context(), &handover.Frame{Cookie: "c00c1e"}); err != nil || u.User != "alice" {
		t.Errorf("%+v, %v", u, err)
	}
	if len(a.ways) != 2 || a.ways[0] != "unseal" || a.ways[1] != "redeem" {
		t.Errorf("%q", a.ways)
	}
}

// Nobody can seal for a session role that has given authd no key.
func TestSealedLoginWithoutKey(t *testing.T) {
	w := newWorld(t, nil)
	f := w.frame(handover.IMAP, "alice")
	f.Sealed = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	if _, a, err := w.offer(f); !fail.Is(err, fail.Unavailable) || a.Taken || a.Why != "denied" {
		t.Errorf("%+v, %v", a, err)
	}
}
