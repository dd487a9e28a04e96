package authd

import (
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/daemon/authd/drivers"
	"github.com/postcote/postcote/pkg/identity/cache"
	"github.com/postcote/postcote/pkg/identity/login"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/prefetch"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/identity/rule"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/identity/static"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/conf"
	"github.com/postcote/postcote/pkg/platform/fail"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// state is what one configuration means. A reload makes another; requests
// keep the one they began with.
type state struct {
	cfg     *authconf.Config
	set     *drivers.Set
	chain   *passdb.Chain
	users   *userdb.Chain
	domains userdb.Domains
	login   *login.Service
	defence *defence
	offered []sasl.Mechanism
	mechs   []dovecotauth.Mechanism // the same, as they are announced
	// immediate: a login by password waits for nothing but what gives notice
	// (see package waits): everything else is in our own memory.
	immediate bool
	// usersAtHand: nor does a look at the user databases wait.
	usersAtHand bool
}

// deps is what states share.
type deps struct {
	log    *obs.Logger
	hasher passdb.Hasher
	decoy  scheme.Hash
	key    []byte // see decoyKey
	now    func() time.Time
	report func(error)
}

// newState builds a state; old, which may be nil, hands down what a reload
// should not forget.
func newState(cfg *authconf.Config, old *state, d deps) (*state, error) {
	s := &state{cfg: cfg}
	var oldSet *drivers.Set
	if old != nil {
		oldSet = old.set
	}
	var err error
	if s.set, err = drivers.Build(cfg, oldSet, s.driverDeps(d)); err != nil {
		return nil, err
	}
	if s.defence, err = newDefence(cfg, old, d); err != nil {
		s.set.CloseUnless(oldSet)
		return nil, err
	}
	store := s.cache(old, d.now)
	s.chain = s.passChain(store, d)
	if s.users, err = s.userChain(store); err == nil {
		s.login, err = s.loginService(d)
	}
	if err != nil {
		s.close(old)
		return nil, err
	}
	s.immediate = s.defence.policy == nil && s.defence.shared == nil && inMemory(s.set.Passdb)
	s.usersAtHand = usersInMemory(s.set.Userdb)
	s.domains = userdb.Domains{Configured: cfg.Users.Domains, Users: s.users}
	for _, name := range cfg.Login.Mechanisms {
		if m, ok := sasl.Find(name); ok && cfg.Cannot(m) == "" {
			s.offered, s.mechs = append(s.offered, m), append(s.mechs, announced(m))
		}
	}
	return s, nil
}

// inMemory reports whether no database asks another process or the network.
func inMemory(dbs []passdb.Entry) bool {
	for _, e := range dbs {
		switch e.Driver.(type) {
		case *passdb.File, *static.Pass:
		default:
			return false
		}
	}
	return true
}

// usersInMemory is inMemory for user databases.
func usersInMemory(dbs []userdb.Entry) bool {
	for _, e := range dbs {
		switch e.Driver.(type) {
		case *userdb.File, *static.Users, prefetch.Users:
		default:
			return false
		}
	}
	return true
}

// close gives up what next, which may be nil, does not go on with.
func (s *state) close(next *state) {
	var set *drivers.Set
	var d *defence
	if next != nil {
		set, d = next.set, next.defence
	}
	s.set.CloseUnless(set)
	s.defence.closeUnless(d)
}

func announced(m sasl.Mechanism) dovecotauth.Mechanism {
	return dovecotauth.Mechanism{
		Name: m.Name, Plaintext: m.Plaintext, Dictionary: m.Dictionary, Active: m.Active, Anonymous: m.Anonymous,
		ForwardSecrecy: m.ForwardSecrecy, MutualAuth: m.MutualAuth, Private: m.Private, ChannelBinding: m.Binding,
	}
}

func (s *state) driverDeps(d deps) drivers.Deps {
	return drivers.Deps{
		Now: d.now, Report: d.report, Exists: s.exists,
		UsersRead: func(path string, snap *passwdfile.Snapshot) { usersLoaded(d.log, path, snap) },
		HostDown:  func(database, host string, why error) { d.log.Log(hostChanged{database, host, why}) },
	}
}

// exists asks the password databases whether there is a user.
func (s *state) exists(ctx context.Context, r *request.Request) error {
	asked := *r
	asked.Mech = ""
	_, err := s.chain.Lookup(ctx, &asked)
	if passdb.RefusedOf(err) != nil {
		return fail.New(fail.NotFound, "no user %s", r.User)
	}
	return err
}

// cache is the old one if its size is the same. What it holds is told apart by
// the settings that it depends on.
func (s *state) cache(old *state, now func() time.Time) *cache.Cache {
	if old != nil && old.cfg.Cache.Size == s.cfg.Cache.Size {
		return old.chain.Cache
	}
	return cache.New(s.cfg.Cache.Size.Int64(), now)
}

func (s *state) passChain(store *cache.Cache, d deps) *passdb.Chain {
	policy := s.cfg.Passwords.Policy()
	policy.SaltKey = d.key
	c := &passdb.Chain{
		Entries: s.set.Passdb, Hasher: d.hasher, Policy: policy, Decoy: d.decoy, DecoyKey: d.key, Cache: store,
		TTL: passdb.TTL{Verified: s.cfg.Cache.VerifiedTTL.Std(), Positive: s.cfg.Cache.TTL.Std(), Negative: s.negative()},
	}
	if s.cfg.Passwords.Rehash {
		c.Rehash = rehasher(d.hasher, s.cfg.Passwords.Scheme)
	}
	return c
}

// negative is how long an answer that there is no such user is kept; without a
// cache of answers not at all.
func (s *state) negative() time.Duration {
	if s.cfg.Cache.TTL == 0 {
		return 0
	}
	return s.cfg.Cache.NegativeTTL.Std()
}

func (s *state) userChain(store *cache.Cache) (*userdb.Chain, error) {
	u := s.cfg.Users
	home, err := userdb.ParseTemplate(u.Home)
	if err != nil {
		return nil, err
	}
	fields, err := request.ParseFields(u.Fields)
	if err != nil {
		return nil, err
	}
	c := &userdb.Chain{
		Entries: s.set.Userdb, Defaults: userdb.Defaults{UID: -1, GID: -1, Home: home}, Fields: fields, Cache: store,
		TTL: userdb.TTL{Positive: s.cfg.Cache.TTL.Std(), Negative: s.negative()},
	}
	if u.UID > 0 {
		c.Defaults.UID = u.UID
	}
	if u.GID > 0 {
		c.Defaults.GID = u.GID
	}
	return c, nil
}

func (s *state) loginService(d deps) (*login.Service, error) {
	l := s.cfg.Login
	format, err := request.Template(l.UsernameFormat)
	if err != nil {
		return nil, err
	}
	service := &login.Service{
		Chain: s.chain, Separator: l.MasterSeparator, Guest: strings.ToLower(l.AnonymousUsername), Now: d.now,
		Names: login.Names{DefaultDomain: s.cfg.Users.DefaultDomain, Translation: l.UsernameTranslation, Chars: l.UsernameChars, Format: format},
		Delay: throttle.Delay{For: l.FailureDelay.Std(), Now: d.now},
		Guard: s.defence.guard, Policy: s.defence.policy,
	}
	for _, r := range l.Rules {
		service.Rules = append(service.Rules, login.Rule{
			Match: rule.Match{Users: rule.SplitFilter(r.Users), Mechanisms: r.Mechanisms, Services: r.Services, Networks: conf.Prefixes(r.Networks)},
			Deny:  r.Action == "deny", Secured: r.Action == "secured",
		})
	}
	return service, nil
}

// same reports whether two sections are equal.
func same(a, b any) bool { return reflect.DeepEqual(a, b) }
