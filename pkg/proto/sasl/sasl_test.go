package sasl

import (
	"errors"
	"strings"
	"testing"

	gosasl "github.com/emersion/go-sasl"

	"github.com/postcote/postcote/pkg/platform/fail"
)

// recorder accepts alice with password "pw" and remembers what it was asked.
type recorder struct {
	OnlyPasswords
	asked []Credentials
}

func (r *recorder) VerifyPassword(c Credentials) error {
	r.asked = append(r.asked, c)
	if c.Authcid == "alice" && c.Password == "pw" {
		return nil
	}
	return fail.New(fail.Denied, "wrong")
}

func TestPlainServer(t *testing.T) {
	long := strings.Repeat("a", MaxName+1)
	for _, tc := range []struct {
		name, response string
		kind           fail.Kind
		ok             bool
		asked          Credentials
	}{
		{name: "right", response: "\x00alice\x00pw", ok: true, asked: Credentials{Authcid: "alice", Password: "pw"}},
		{name: "authzid", response: "alice\x00alice\x00pw", ok: true, asked: Credentials{Authzid: "alice", Authcid: "alice", Password: "pw"}},
		{name: "wrong", response: "\x00alice\x00no", kind: fail.Denied, asked: Credentials{Authcid: "alice", Password: "no"}},
		{name: "latin-1 password passes through", response: "\x00alice\x00\xe9", kind: fail.Denied, asked: Credentials{Authcid: "alice", Password: "\xe9"}},
		{name: "empty password is the backend's decision", response: "\x00alice\x00", kind: fail.Denied, asked: Credentials{Authcid: "alice", Password: ""}},
		{name: "empty", response: "", kind: fail.Invalid},
		{name: "two parts", response: "alice\x00pw", kind: fail.Invalid},
		{name: "four parts", response: "\x00alice\x00pw\x00", kind: fail.Invalid},
		{name: "no name", response: "\x00\x00pw", kind: fail.Invalid},
		{name: "name not UTF-8", response: "\x00al\xffice\x00pw", kind: fail.Invalid},
		{name: "newline in name", response: "\x00al\nice\x00pw", kind: fail.Invalid},
		{name: "authzid not UTF-8", response: "\xff\x00alice\x00pw", kind: fail.Invalid},
		{name: "long name", response: "\x00" + long + "\x00pw", kind: fail.Invalid},
		{name: "long password", response: "\x00alice\x00" + strings.Repeat("p", MaxPassword+1), kind: fail.Invalid},
		{name: "huge", response: strings.Repeat("x", MaxResponse+1), kind: fail.Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rec := &recorder{}
			s := NewPlainServer(rec, Setting{})
			_, done, err := s.Next([]byte(tc.response))
			if done != tc.ok || (err == nil) != tc.ok || (err != nil && fail.KindOf(err) != tc.kind) {
				t.Fatalf("done %v err %v", done, err)
			}
			if tc.asked == (Credentials{}) && len(rec.asked) != 0 {
				t.Fatalf("backend was asked with %q", rec.asked)
			}
			if tc.asked != (Credentials{}) && (len(rec.asked) != 1 || rec.asked[0] != tc.asked) {
				t.Fatalf("backend was asked with %q", rec.asked)
			}
			if _, done, err := s.Next([]byte("\x00alice\x00pw")); done || err == nil {
				t.Fatal("a second response must not count")
			}
		})
	}
}

func TestPlainAsksOnceWithoutInitialResponse(t *testing.T) {
	s := NewPlainServer(&recorder{}, Setting{})
	ch, done, err := s.Next(nil)
	if ch == nil || len(ch) != 0 || done || err != nil {
		t.Fatalf("%q %v %v", ch, done, err)
	}
	if _, done, err = s.Next(nil); done || err == nil {
		t.Fatal("an absent response to the challenge must fail")
	}
}

func TestLoginServer(t *testing.T) {
	type turn struct {
		in  []byte // nil: no initial response
		out string
	}
	for _, tc := range []struct {
		name  string
		turns []turn
		ok    bool
		kind  fail.Kind
	}{
		{"prompted", []turn{{nil, "Username:"}, {[]byte("alice"), "Password:"}, {[]byte("pw"), ""}}, true, 0},
		{"initial response is the name", []turn{{[]byte("alice"), "Password:"}, {[]byte("pw"), ""}}, true, 0},
		{"wrong password", []turn{{nil, "Username:"}, {[]byte("alice"), "Password:"}, {[]byte("x"), ""}}, false, fail.Denied},
		{"empty name", []turn{{nil, "Username:"}, {[]byte{}, ""}}, false, fail.Invalid},
		{"NUL in name", []turn{{nil, "Username:"}, {[]byte("a\x00b"), ""}}, false, fail.Invalid},
		{"NUL in password", []turn{{nil, "Username:"}, {[]byte("alice"), "Password:"}, {[]byte("p\x00w"), ""}}, false, fail.Invalid},
		{"huge name", []turn{{nil, "Username:"}, {make([]byte, MaxResponse+1), ""}}, false, fail.Invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := NewLoginServer(&recorder{}, Setting{})
			var done bool
			var err error
			for i, turn := range tc.turns {
				var ch []byte
				if ch, done, err = s.Next(turn.in); string(ch) != turn.out {
					t.Fatalf("turn %d: challenge %q, err %v", i, ch, err)
				}
			}
			if done != tc.ok || (!tc.ok && fail.KindOf(err) != tc.kind) {
				t.Fatalf("done %v err %v", done, err)
			}
			if _, done, err := s.Next([]byte("pw")); done || err == nil {
				t.Fatal("a step after the end must fail")
			}
		})
	}
}

func TestClientsRefuseUnexpectedChallenges(t *testing.T) {
	p := NewPlainClient(Credentials{Authcid: "a", Password: "b"})
	if _, err := p.Next([]byte("more?")); !errors.Is(err, gosasl.ErrUnexpectedServerChallenge) {
		t.Fatalf("PLAIN: %v", err)
	}
	l := NewLoginClient(Credentials{Authcid: "a", Password: "b"})
	_, _, _ = l.Start()
	_, _ = l.Next(nil)
	_, _ = l.Next(nil)
	if got, err := l.Next(nil); err == nil {
		t.Fatalf("LOGIN gave %q to a third prompt", got)
	}
}
