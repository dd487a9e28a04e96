package authd

import (
	"maps"
	"slices"
	"time"

	"github.com/postcote/postcote/pkg/daemon/authd/authconf"
	"github.com/postcote/postcote/pkg/identity/account"
	"github.com/postcote/postcote/pkg/identity/login"
	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/passwdfile"
	"github.com/postcote/postcote/pkg/identity/scheme"
	"github.com/postcote/postcote/pkg/identity/throttle"
	"github.com/postcote/postcote/pkg/identity/userdb"
	"github.com/postcote/postcote/pkg/platform/obs"
	"github.com/postcote/postcote/pkg/proto/dovecotauth"
	"github.com/postcote/postcote/pkg/proto/sasl"
)

// penaltyLife is how long an address that failed is remembered, as in
// Dovecot's anvil.
const penaltyLife = time.Hour

// state is what one configuration means. A reload makes another; requests
// keep the one they began with.
type state struct {
	cfg     *authconf.Config
	file    *passwdfile.File
	checker *passdb.Checker
	login   *login.Service
	users   userdb.Chain
	domains userdb.Domains
	mechs   []dovecotauth.Mechanism
}

// newState builds a state; old, which may be nil, hands down what a reload
// should not forget.
func newState(cfg *authconf.Config, old *state, deps deps) (*state, error) {
	home, err := userdb.ParseTemplate(cfg.Users.Home)
	if err != nil {
		return nil, err
	}
	s := &state{cfg: cfg}
	if old != nil && old.cfg.Users.File == cfg.Users.File {
		s.file = old.file
	} else {
		s.file = passwdfile.Open(cfg.Users.File, func(snap *passwdfile.Snapshot) { usersLoaded(deps.log, cfg.Users.File, snap) })
	}
	s.users = userdb.Chain{userdb.NewFile(s.file, defaults(cfg.Users, home))}
	s.domains = userdb.Domains{Configured: cfg.Users.Domains, Users: s.users}
	s.checker = &passdb.Checker{
		DBs: []passdb.DB{passdb.NewFile(s.file)}, Hasher: deps.hasher, Decoy: deps.decoy,
		Cache: s.cache(old, deps.now), Policy: cfg.Passwords.Policy(),
	}
	s.login = &login.Service{
		Verifier: s.checker, DefaultDomain: cfg.Users.DefaultDomain,
		Delay: throttle.Delay{For: cfg.Login.FailureDelay.Std(), Now: deps.now},
		Guard: s.guard(old, deps),
	}
	for _, name := range cfg.Login.Mechanisms {
		if m, ok := sasl.Find(name); ok {
			s.mechs = append(s.mechs, dovecotauth.Mechanism{Name: m.Name, Plaintext: m.Plaintext})
		}
	}
	return s, nil
}

// deps is what states share.
type deps struct {
	log    *obs.Logger
	hasher passdb.Hasher
	decoy  scheme.Hash
	now    func() time.Time
}

func (s *state) cache(old *state, now func() time.Time) *passdb.Cache {
	p := s.cfg.Passwords
	if old != nil && old.cfg.Passwords.CacheTTL == p.CacheTTL && old.cfg.Passwords.CacheSize == p.CacheSize {
		return old.checker.Cache
	}
	return passdb.NewCache(p.CacheTTL.Std(), p.CacheSize, now)
}

func (s *state) guard(old *state, deps deps) *throttle.Guard {
	l := s.cfg.Login
	if !l.Penalty {
		return nil
	}
	if old != nil && old.login.Guard != nil && slices.Equal(old.cfg.Login.Trusted, l.Trusted) {
		return old.login.Guard
	}
	g := &throttle.Guard{
		Store: throttle.NewMemory(penaltyLife, deps.now), Key: throttle.NewKey(),
		Report: func(err error) { deps.log.Log(trouble{err}) },
	}
	for _, n := range l.Trusted {
		g.Exempt = append(g.Exempt, n.Prefix())
	}
	return g
}

// defaults is what lines that say less get.
func defaults(u authconf.Users, home userdb.Template) userdb.Defaults {
	d := userdb.Defaults{UID: -1, GID: -1, Home: home}
	if u.UID > 0 {
		d.UID = u.UID
	}
	if u.GID > 0 {
		d.GID = u.GID
	}
	for _, key := range slices.Sorted(maps.Keys(u.Fields)) {
		d.Fields = append(d.Fields, account.Field{Key: key, Value: u.Fields[key]})
	}
	return d
}
