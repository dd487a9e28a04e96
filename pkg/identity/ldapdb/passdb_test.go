package ldapdb

import (
	"context"
	"strings"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/postcote/postcote/pkg/identity/passdb"
	"github.com/postcote/postcote/pkg/identity/request"
	"github.com/postcote/postcote/pkg/platform/fail"
)

const aliceDN = "uid=alice,ou=people,dc=example,dc=org"

// people is a configuration for entries found by uid.
func people() Config {
	c := DefaultConfig()
	c.Base = "ou=people,dc=example,dc=org"
	c.PassFilter, c.UserFilter = "(uid=%n)", "(uid=%n)"
	c.PassAttrs = "uid=user,userPassword=password,quota=userdb_quota"
	return c
}

func alice() *ldap.Entry {
	return ldap.NewEntry(aliceDN, map[string][]string{
		"uid": {"alice"}, "userPassword": {"{SSHA}c2FsdA=="}, "quota": {"10"}, "homeDirectory": {"/h/alice"}, "uidNumber": {"1000"}, "gidNumber": {"1001"},
	})
}

func lookuper(t *testing.T, s *server, c Config) passdb.Lookuper {
	t.Helper()
	d, err := newPassdb(s, c)
	if err != nil {
		t.Fatal(err)
	}
	l, ok := d.(passdb.Lookuper)
	if _, verifies := d.(passdb.Verifier); !ok || verifies || d.Name() != "ldap" {
		t.Fatalf("%T", d)
	}
	return l
}

func verifier(t *testing.T, s *server, c Config) passdb.Verifier {
	t.Helper()
	c.AuthBind = true
	d, err := newPassdb(s, c)
	if err != nil {
		t.Fatal(err)
	}
	v, ok := d.(passdb.Verifier)
	if _, looks := d.(passdb.Lookuper); !ok || looks || d.Name() != "ldap" {
		t.Fatalf("%T", d)
	}
	return v
}

func who(user string) *request.Request { return &request.Request{User: user, Service: "imap"} }

func TestLookup(t *testing.T) {
	f := newFake(t)
	f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
	f.entries["(uid=two)"] = []*ldap.Entry{alice(), alice()}
	bare := ldap.NewEntry("uid=bare,dc=x", map[string][]string{"uid": {"bare"}, "userPassword": {"$6$salt$hash"}})
	f.entries["(uid=bare)"] = []*ldap.Entry{bare}
	db := lookuper(t, connect(t, f.config()), people())

	a, err := db.Lookup(t.Context(), who("alice@example.org"))
	if err != nil || a.User != "alice" || a.Stored != "{SSHA}c2FsdA==" || show(a.Userdb) != "quota=10" {
		t.Errorf("%+v %v", a, err)
	}
	if a, err := db.Lookup(t.Context(), who("bare")); err != nil || a.Stored != "{CRYPT}$6$salt$hash" {
		t.Errorf("%+v %v", a, err)
	}
	for user, want := range map[string]fail.Kind{
		"nobody":        fail.NotFound,
		"*":             fail.NotFound,
		"*)(uid=*":      fail.NotFound,
		"two":           fail.Unavailable,
		"nobody)(uid=*": fail.NotFound,
		"\xff":          fail.NotFound,
		"\ufffd":        fail.NotFound,
	} {
		if a, err := db.Lookup(t.Context(), who(user)); !fail.Is(err, want) || a.Stored != "" {
			t.Errorf("%s: %+v %v", user, a, err)
		}
	}
	if f.accepted.Load() != 1 {
		t.Errorf("%d connections for one lookup after the other", f.accepted.Load())
	}
}

// What a server may say to a search, and what we make of it.
func TestSearchResults(t *testing.T) {
	for _, tc := range []struct {
		name  string
		found bool
		code  uint16
		refer string
		edit  func(*Config)
		want  fail.Kind
		text  string
	}{
		{name: "no such object, fixed base", code: ldap.LDAPResultNoSuchObject, want: fail.Unavailable, text: "base does not exist"},
		{
			name: "no such object, base by domain", code: ldap.LDAPResultNoSuchObject, want: fail.NotFound,
			edit: func(c *Config) { c.Base = "ou=%d,dc=x" },
		},
		{name: "referral", code: ldap.LDAPResultReferral, want: fail.Unavailable, text: "not followed"},
		{name: "reference beside nothing", refer: "ldap://other/dc=x", want: fail.Unavailable, text: "ignore_references"},
		{
			name: "reference, ignored", refer: "ldap://other/dc=x", want: fail.NotFound,
			edit: func(c *Config) { c.IgnoreReferences = true },
		},
		{name: "size limit without entries", code: ldap.LDAPResultSizeLimitExceeded, want: fail.Unavailable, text: "size limit"},
		{name: "size limit with one entry", found: true, code: ldap.LDAPResultSizeLimitExceeded, want: fail.Unavailable},
		{name: "time limit", code: ldap.LDAPResultTimeLimitExceeded, want: fail.Unavailable},
		{name: "no access", code: ldap.LDAPResultInsufficientAccessRights, want: fail.Unavailable, text: "Insufficient Access"},
		{name: "an unknown code", code: 4242, want: fail.Unavailable},
		{name: "busy", code: ldap.LDAPResultBusy, want: fail.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t)
			if tc.found {
				f.entries["(uid=bob)"] = []*ldap.Entry{alice()}
			}
			f.results["(uid=bob)"], f.refer["(uid=bob)"] = tc.code, tc.refer
			c := people()
			if tc.edit != nil {
				tc.edit(&c)
			}
			db := lookuper(t, connect(t, f.config()), c)
			_, err := db.Lookup(t.Context(), who("bob@example.org"))
			if !fail.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Error(err)
			}
		})
	}
	// A reference beside the entry does not matter.
	f := newFake(t)
	f.entries["(uid=alice)"], f.refer["(uid=alice)"] = []*ldap.Entry{alice()}, "ldap://other/"
	if _, err := lookuper(t, connect(t, f.config()), people()).Lookup(t.Context(), who("alice")); err != nil {
		t.Error(err)
	}
}

func TestBase(t *testing.T) {
	f := newFake(t)
	c := people()
	c.Base = "ou=%d,dc=example"
	db := lookuper(t, connect(t, f.config()), c)
	for user, base := range map[string]string{"a@b.org": "ou=b.org,dc=example", "a@b,dc=evil": `ou=b\2cdc\3devil,dc=example`} {
		if _, err := db.Lookup(t.Context(), who(user)); !fail.Is(err, fail.NotFound) {
			t.Error(err)
		}
		if got := f.bases[len(f.bases)-1]; got != base {
			t.Error(got)
		}
	}
	// "ou=,dc=example" would be another kind of name.
	if _, err := db.Lookup(t.Context(), who("bare")); err == nil {
		t.Error("a name without a domain found something")
	}
}

func policy(code byte) *ber.Packet {
	seq := ber.NewSequence("")
	e := ber.Encode(ber.ClassContext, ber.TypePrimitive, 1, nil, "")
	e.Data.WriteByte(code)
	seq.AppendChild(e)
	c := ber.NewSequence("")
	c.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, ldap.ControlTypeBeheraPasswordPolicy, ""))
	c.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, string(seq.Bytes()), ""))
	return c
}

func expiredControl() *ber.Packet {
	c := ber.NewSequence("")
	c.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, ldap.ControlTypeVChuPasswordMustChange, ""))
	c.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "0", ""))
	return c
}

// What a server may say to a bind, and what we make of it. The first password
// is right.
func TestBindResults(t *testing.T) {
	refused := func(r passdb.Reason) *passdb.Reason { return &r }
	for _, tc := range []struct {
		name     string
		password string
		code     uint16
		text     string
		control  *ber.Packet
		refused  *passdb.Reason // nil: see kind
		kind     fail.Kind      // 0: success
	}{
		{name: "right", password: "secret"},
		{name: "right, to be changed after a reset", password: "secret", control: policy(2)},
		{name: "wrong", password: "guess", refused: refused(passdb.Mismatch)},
		{name: "empty", refused: refused(passdb.Mismatch)},
		{name: "policy: expired", password: "secret", code: 49, control: policy(0), refused: refused(passdb.Expired)},
		{name: "policy: locked", password: "secret", code: 49, control: policy(1), refused: refused(passdb.Locked)},
		{name: "policy: something else", password: "secret", code: 49, control: policy(5), refused: refused(passdb.Mismatch)},
		{name: "Netscape: expired", password: "secret", code: 49, control: expiredControl(), refused: refused(passdb.Expired)},
		{name: "AD: wrong", password: "secret", code: 49, text: "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1", refused: refused(passdb.Mismatch)},
		{name: "AD: disabled", password: "secret", code: 49, text: "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 533, v1db1", refused: refused(passdb.Disabled)},
		{name: "AD: expired", password: "secret", code: 49, text: "AcceptSecurityContext error, data 532, v1db1", refused: refused(passdb.Expired)},
		{name: "AD: locked", password: "secret", code: 49, text: "AcceptSecurityContext error, data 775, v1db1", refused: refused(passdb.Locked)},
		{name: "389: too many failures", password: "secret", code: 19, text: "Exceed password retry limit. Please try later.", refused: refused(passdb.Locked)},
		{name: "389: inactivated", password: "secret", code: 53, text: "Account inactivated. Contact system administrator.", refused: refused(passdb.Disabled)},
		{name: "389: no password", password: "secret", code: 48, refused: refused(passdb.Locked)},
		{name: "vanished", password: "secret", code: 32, kind: fail.Unavailable},
		{name: "unwilling", password: "secret", code: 53, kind: fail.Unavailable},
		{name: "confidentiality required", password: "secret", code: 13, kind: fail.Unavailable},
		{name: "referral", password: "secret", code: 10, kind: fail.Unavailable},
		{name: "busy", password: "secret", code: 51, kind: fail.Unavailable},
		{name: "SASL bind in progress", password: "secret", code: 14, kind: fail.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t)
			f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
			f.passwords[aliceDN] = "secret"
			f.results[aliceDN], f.texts[aliceDN], f.controls[aliceDN] = tc.code, tc.text, tc.control
			a, err := verifier(t, connect(t, f.config()), people()).Verify(t.Context(), who("alice@example.org"), tc.password)
			switch {
			case tc.refused != nil:
				if r := passdb.RefusedOf(err); r == nil || r.Reason != *tc.refused || r.DB != "ldap" || !fail.Is(err, fail.Denied) {
					t.Error(err)
				} else if (r.Detail == "") != (r.Reason == passdb.Mismatch) {
					t.Errorf("%s for the log: %q", r.Reason, r.Detail)
				}
			case tc.kind != 0:
				if !fail.Is(err, tc.kind) || passdb.RefusedOf(err) != nil {
					t.Error(err)
				}
			case err != nil || a.User != "alice" || a.Stored != "" || show(a.Userdb) != "quota=10":
				t.Errorf("%+v %v", a, err)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Error("the password is in the error")
			}
		})
	}
}

// An empty password is a success for careless servers, so they never see one.
func TestNoUnauthenticatedBind(t *testing.T) {
	f := newFake(t)
	f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
	s := connect(t, f.config())
	c := people()
	c.AuthBindUserDN = "uid=%n,ou=people,dc=example,dc=org"
	for _, v := range []passdb.Verifier{verifier(t, s, people()), verifier(t, s, c)} {
		_, err := v.Verify(t.Context(), who("alice"), "")
		if r := passdb.RefusedOf(err); r == nil || r.Reason != passdb.Mismatch {
			t.Error(err)
		}
	}
	// An entry without a name would be an anonymous bind too.
	f.set(func() { f.entries["(uid=root)"] = []*ldap.Entry{ldap.NewEntry("", nil)} })
	if _, err := verifier(t, s, people()).Verify(t.Context(), who("root"), "secret"); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	if len(f.binds) != 0 {
		t.Error("bound as", f.binds)
	}
	if v, err := s.authenticate(t.Context(), aliceDN, ""); v.right || err != nil || len(f.binds) != 0 {
		t.Error(v, err)
	}
}

func TestTemplateBind(t *testing.T) {
	f := newFake(t)
	f.passwords[aliceDN] = "secret"
	f.results["uid=gone,ou=people,dc=example,dc=org"] = ldap.LDAPResultNoSuchObject
	c := people()
	c.AuthBindUserDN = "uid=%n,ou=people,dc=example,dc=org"
	v := verifier(t, connect(t, f.config()), c)
	if a, err := v.Verify(t.Context(), who("alice@example.org"), "secret"); err != nil || a.User != "alice@example.org" {
		t.Error(a, err)
	}
	for _, user := range []string{"gone", "\xff"} {
		if _, err := v.Verify(t.Context(), who(user), "secret"); !fail.Is(err, fail.NotFound) {
			t.Error(err)
		}
	}
	_, err := v.Verify(t.Context(), who("alice,ou=people,dc=example,dc=org"), "secret")
	if r := passdb.RefusedOf(err); r == nil || r.Reason != passdb.Mismatch {
		t.Error(err)
	}
	if got := f.binds[len(f.binds)-1]; got != `uid=alice\2cou\3dpeople\2cdc\3dexample\2cdc\3dorg,ou=people,dc=example,dc=org` {
		t.Error(got)
	}
	if len(f.searches) != 0 {
		t.Error("searched for", f.searches)
	}
}

// Users are bound on connections of their own; searches go on as the service.
func TestSearchesStayBound(t *testing.T) {
	f := newFake(t)
	f.entries["(uid=alice)"] = []*ldap.Entry{alice()}
	f.passwords[aliceDN], f.passwords["cn=service"] = "secret", "service-secret"
	c := f.config()
	c.BindDN, c.password = "cn=service", "service-secret"
	v := verifier(t, connect(t, c), people())
	for range 3 {
		if _, err := v.Verify(t.Context(), who("alice"), "secret"); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(f.binds, " "); got != "cn=service "+aliceDN+" "+aliceDN+" "+aliceDN || f.accepted.Load() != 2 {
		t.Error(got, f.accepted.Load())
	}
}

func TestServiceBindRefused(t *testing.T) {
	f := newFake(t)
	c := f.config()
	c.BindDN, c.password = "cn=service", "wrong-secret"
	_, err := lookuper(t, connect(t, c), people()).Lookup(t.Context(), who("alice"))
	if !fail.Is(err, fail.Unavailable) || passdb.RefusedOf(err) != nil || !strings.Contains(err.Error(), "cn=service") || strings.Contains(err.Error(), "wrong-secret") {
		t.Error(err)
	}
}

func TestGivesUpWithTheCaller(t *testing.T) {
	f := newFake(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lookuper(t, connect(t, f.config()), people()).Lookup(ctx, who("alice")); !fail.Is(err, fail.Unavailable) {
		t.Error(err)
	}
	if f.accepted.Load() > 1 {
		t.Error("tried again and again")
	}
}
