package login

import (
	"context"
	"errors"
	"net/netip"

	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/platform/fail"
)

// Attempt is what a peer presented, and what is known about the peer.
type Attempt struct {
	User      string // whose password it is, as sent
	ActAs     string // authorization identity; empty: the same
	Password  string
	Remote    netip.Addr // zero: not known
	NoPenalty bool       // the peer vouches for Remote (a proxy, webmail)
}

// Verifier checks a password.
type Verifier interface {
	Verify(ctx context.Context, q passdb.Query) (passdb.Account, error)
}

// Service is safe for concurrent use.
type Service struct {
	Verifier      Verifier
	DefaultDomain string
	Delay         throttle.Delay
	Guard         *throttle.Guard // nil: none
}

// ErrActAs is in the chain when a user wants to be somebody else.
var ErrActAs = errors.New("may not act as another user")

// Try returns the account that a proves. A refusal is fail.Denied, with
// *passdb.Refused or ErrActAs in its chain; anything else is an outage.
// decided, if not nil, is called as soon as the verdict is known, before a
// refusal's delay; user is the canonical name.
func (s *Service) Try(ctx context.Context, a Attempt, decided func(user string, err error)) (passdb.Account, error) {
	user := account.Qualify(a.User, s.DefaultDomain)
	peer := throttle.Peer{Addr: a.Remote, User: user}
	if s.Guard != nil && !a.NoPenalty {
		s.Guard.Wait(ctx, peer)
	}
	acct, err := s.check(ctx, user, a)
	if decided != nil {
		decided(user, err)
	}
	switch {
	case err == nil:
		if s.Guard != nil {
			s.Guard.Succeeded(ctx, peer)
		}
		return acct, nil
	case fail.Is(err, fail.Denied):
		if s.Guard != nil && !a.NoPenalty {
			s.Guard.Failed(ctx, peer, a.Password)
		}
		s.Delay.Wait(ctx)
	}
	return passdb.Account{}, err
}

func (s *Service) check(ctx context.Context, user string, a Attempt) (passdb.Account, error) {
	acct, err := s.Verifier.Verify(ctx, passdb.Query{User: user, Password: a.Password, Remote: a.Remote})
	if err != nil {
		return passdb.Account{}, err
	}
	// RFC 4616 section 2: an identity equal to the user's own is not another.
	if a.ActAs != "" && account.Qualify(a.ActAs, s.DefaultDomain) != acct.User {
		return passdb.Account{}, fail.Wrap(fail.Denied, ErrActAs, "user %s", acct.User)
	}
	return acct, nil
}
