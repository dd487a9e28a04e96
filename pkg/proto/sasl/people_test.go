package sasl

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// people is a Backend that knows some passwords and holds mechanisms to their
// contract. It is made for one exchange.
type people struct {
	t         testing.TB
	passwords map[string]string
	salt      []byte
	iter      int
	token     string
	bindings  map[string]string
	guests    bool
	cert      string // the name in the client's certificate
	disabled  bool   // right proofs are refused too
	outage    bool
	others    []string // further passwords of everybody, for SCRAM
	used      string   // which of them it was

	questions int
	open      bool // Secret was given out and Proved not called
	id        Identity
	known     bool
}

var (
	errWrong  = fail.New(fail.Denied, "wrong")
	errOutage = fail.New(fail.Unavailable, "backend is down")
)

func (p *people) ask() error {
	if p.questions++; p.questions > 1 {
		p.t.Errorf("the backend was asked %d times", p.questions)
	}
	if p.outage {
		return errOutage
	}
	return nil
}

func (p *people) clean(names ...string) {
	for _, n := range names {
		if n != "" && checkName("", n) != nil {
			p.t.Errorf("the backend was asked about %q", n)
		}
	}
}

func (p *people) verdict(ok bool) error {
	if !ok || p.disabled {
		return errWrong
	}
	return nil
}

func (p *people) VerifyPassword(c Credentials) error {
	if err := p.ask(); err != nil {
		return err
	}
	p.clean(c.Authcid, c.Authzid)
	if c.Authcid == "" || len(c.Password) > MaxPassword {
		p.t.Errorf("the backend was asked with %q", c)
	}
	p.id = Identity{Authcid: c.Authcid, Authzid: c.Authzid}
	want, ok := p.passwords[c.Authcid]
	return p.verdict(ok && want == c.Password)
}

func (p *people) Secret(id Identity, kind SecretKind) (Secret, error) {
	if err := p.ask(); err != nil {
		return Secret{}, err
	}
	p.clean(id.Authcid, id.Authzid, id.Realm)
	p.id, p.open = id, true
	var password string
	password, p.known = p.passwords[id.Authcid]
	salt := p.salt
	if !p.known {
		password = "\x00 no such password"
	}
	if salt == nil {
		m := hmac.New(sha256.New, []byte("key of decoys"))
		_, _ = m.Write([]byte(id.Authcid))
		salt = m.Sum(nil)[:16]
	}
	iter := p.iter
	if iter == 0 {
		iter = 4096
	}
	secret := SecretOf(kind, id, password, salt, iter)
	for _, other := range p.others {
		s := SecretOf(kind, id, other, salt, iter)
		secret.Others = append(secret.Others, SCRAMKeys{s.StoredKey, s.ServerKey, func() { p.used = other }})
	}
	return secret, nil
}

func (p *people) Proved(ok bool) error {
	if !p.open {
		p.t.Error("Proved without Secret, or twice")
	}
	p.open = false
	return p.verdict(ok && p.known)
}

func (p *people) VerifyToken(t Token) error {
	if err := p.ask(); err != nil {
		return err
	}
	p.clean(t.User)
	if !validToken(t.Value) {
		p.t.Errorf("the backend was asked about token %q", t.Value)
	}
	p.id = Identity{Authcid: t.User}
	return p.verdict(t.Value == p.token)
}

func (p *people) VerifyExternal(authzid string) error {
	if err := p.ask(); err != nil {
		return err
	}
	p.clean(authzid)
	p.id = Identity{Authcid: p.cert, Authzid: authzid}
	return p.verdict(p.cert != "" && (authzid == "" || authzid == p.cert))
}

func (p *people) VerifyAnonymous(trace string) error {
	if err := p.ask(); err != nil {
		return err
	}
	p.clean(trace)
	p.id = Identity{Authcid: trace}
	return p.verdict(p.guests)
}

func (p *people) ChannelBinding(kind string) ([]byte, error) {
	if data, ok := p.bindings[kind]; ok {
		return []byte(data), nil
	}
	return nil, fail.New(fail.Unavailable, "no binding of type %s", kind)
}

// settled fails the test if an exchange ended without its verdict.
func (p *people) settled() error {
	if p.open {
		return fmt.Errorf("the exchange ended, and the backend never heard how")
	}
	return nil
}
