package authd

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"os"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/policy"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/identity/throttle/redis"
	"github.com/postcote/postcote/pkg/platform/conf"
)

const (
	// penaltyLife is how long an address that failed is remembered, as in
	// Dovecot's anvil.
	penaltyLife = time.Hour
	// redisPause is how long a Redis that failed is left alone.
	redisPause = 30 * time.Second
)

// defence is what slows guessers down. It outlives a reload that does not
// change its settings.
type defence struct {
	guard  *throttle.Guard
	memory *throttle.Memory
	shared *redis.Store
	policy *policy.Client
}

func newDefence(cfg *authconf.Config, old *state, d deps) (*defence, error) {
	x := &defence{}
	if cfg.Login.Penalty {
		if err := x.guards(cfg, old, d); err != nil {
			return nil, err
		}
	}
	switch {
	case cfg.Policy.ServerURL == "":
	case old != nil && same(old.cfg.Policy, cfg.Policy):
		x.policy = old.defence.policy
	default:
		var err error
		if x.policy, err = policy.New(cfg.Policy, d.report); err != nil {
			var kept *defence
			if old != nil {
				kept = old.defence
			}
			x.closeUnless(kept)
			return nil, err
		}
	}
	return x, nil
}

// guards makes the guard, with the old one's memory if there is one.
func (x *defence) guards(cfg *authconf.Config, old *state, d deps) error {
	x.guard = &throttle.Guard{Exempt: conf.Prefixes(cfg.Login.Trusted), Key: throttle.NewKey(), Report: d.report}
	x.memory = throttle.NewMemory(penaltyLife, d.now)
	if old != nil && old.defence.guard != nil {
		x.memory = old.defence.memory
		if same(old.cfg.Redis, cfg.Redis) {
			x.shared, x.guard.Key, x.guard.Store = old.defence.shared, old.defence.guard.Key, old.defence.guard.Store
			return nil
		}
	}
	x.guard.Store = x.memory
	if len(cfg.Redis.Addresses) == 0 {
		return nil
	}
	store, key, err := redis.Open(cfg.Redis, penaltyLife, d.now)
	if err != nil {
		return err
	}
	x.shared, x.guard.Key = store, sha256.Sum256([]byte(key))
	x.guard.Store = &redis.Fallback{Shared: store, Own: x.memory, Pause: redisPause, Now: d.now, Report: d.report}
	return nil
}

// closeUnless gives up what next, which may be nil, does not go on with.
func (x *defence) closeUnless(next *defence) {
	if next == nil {
		next = &defence{}
	}
	if x.policy != nil && x.policy != next.policy {
		x.policy.Close()
	}
	if x.shared != nil && x.shared != next.shared {
		_ = x.shared.Close()
	}
}

// decoyKey makes what unknown users are asked to prove. It must not change
// from one start to the next, or those whose challenge changed would be known
// not to exist. It need not be secret from users of this host, who can see who
// exists in other ways. Nodes with a common secret have it in common, too.
func decoyKey(cfg *authconf.Config) []byte {
	secret := []byte(nil)
	if len(cfg.Redis.Addresses) > 0 {
		text, _ := cfg.Redis.KeyFile.Read()
		secret = []byte(text)
	}
	if len(secret) == 0 {
		secret, _ = os.ReadFile("/etc/machine-id")
	}
	if len(secret) == 0 {
		secret = make([]byte, 32)
		_, _ = rand.Read(secret) // never fails, see crypto/rand
	}
	h := hmac.New(sha256.New, secret)
	_, _ = h.Write([]byte("postcote authd decoy"))
	return h.Sum(nil)
}
